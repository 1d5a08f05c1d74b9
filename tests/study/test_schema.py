"""Every mistake in a study is found at once, and says where it is and what was meant."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from limbeck.errors import DataError, StudyError
from limbeck.study import Plan, load_study, parse_study
from limbeck.study import tasks as tasks_room
from limbeck.study.schema import as_yaml
from limbeck.study.tasks import run_task

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]


def matching(found: list[str], start: str) -> str:
    """Return the one mistake that begins so."""
    matches = [mistake for mistake in found if mistake.startswith(start)]
    assert len(matches) == 1, (start, found)
    return matches[0]


# ---- all at once ----------------------------------------------------------------------------------------------------


def test_every_mistake_of_a_study_is_reported_at_once_with_what_was_meant(tiny: Definition, mistakes: Mistakes) -> None:
    wrong = tiny(
        reprot={},
        training={"epocs": 3},
        signals={"eda": [{"featurs": ["statistics"]}], "temp": [{"features": ["statistcs"]}]},
        stages={
            "teacher": {"model": "linera"},
            "alone": {"loss": {"hrad": 1}, "training": {"bach": 2}},
            "taught": {
                "loss": {"soft": {"temprature": 2}},
                "taugt_by": "teacher",
                "model": {"name": "mlp", "hiden": 8},
            },
        },
        compare=[{"taught": "taught", "alone": "alnoe", "controls": ["own_inptu"], "diagnostics": ["smothed"]}],
        report={"metric": "balanced_acuracy"},
    )
    wrong["data"]["corpus"] = "simulatd"
    found = mistakes(wrong)
    expected = {
        "reprot": "report",
        "training.epocs": "epochs",
        "signals.eda[0]": "features",
        "signals.temp[0].features[0]": "statistics",
        "data: There is no data set": "simulated",
        "stages.teacher.model": "linear",
        "stages.alone.loss": "hard",
        "stages.alone.training.bach": "batch",
        "stages.taught.taugt_by": "taught_by",
        "stages.taught.model": "hidden",
        "stages.taught.loss.soft": "temperature",
        "compare.0.alone": "alone",
        "compare.0.controls": "own_input",
        "compare.0.diagnostics": "smoothed",
        "report.metric": "balanced_accuracy",
    }
    for start, meant in expected.items():
        assert f"Did you mean '{meant}'?" in matching(found, start)


def test_missing_keys_are_named(mistakes: Mistakes) -> None:
    found = mistakes({"stages": {"alone": {"inputs": ["eda"]}}})
    for key in ("study", "data", "target", "signals", "windows", "stages.alone.model"):
        assert f"{key}: this key is needed." in found


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"training": {"epochs": 0}}, "training.epochs"),
        ({"training": {"epochs": "many"}}, "training.epochs"),
        ({"training": {"schedule": "cosin"}}, "training.schedule"),
        ({"windows": {"length": -4}}, "windows.length"),
        ({"protocol": {"split": 1}}, "protocol.split"),
        (
            {"protocol": {"split": {"folds": 2}}},
            "protocol.split: expected leave_one_subject_out, or a number of folds of at least 2, found {'folds': 2}.",
        ),
        (
            {"stages": {"taught": {"loss": {"hard": {"form": "CCC"}}}}},
            "stages.taught.loss.hard.form: expected one of mse, l1, ccc, found 'CCC'. Did you mean 'ccc'?",
        ),
        ({"protocol": {"seeds": []}}, "protocol.seeds"),
        ({"protocol": {"seeds": [-1]}}, "protocol.seeds.0"),
        ({"protocol": {"seeds": [1, 1]}}, "protocol.seeds: expected different seeds"),
        ({"protocol": {"labelled": 0}}, "protocol.labelled"),
        ({"normalise": "transductiv"}, "normalise"),
        ({"normalise": {"calibration": {"condition": "rest"}}}, "normalise.calibration.seconds: this key is needed"),
        ({"compare": {"taught": "taught"}}, "compare"),
        ({"stages": {"alone": 3}}, "stages.alone: expected a mapping"),
        ({"stages": {"alone": {"inputs": 5}}}, "stages.alone.inputs: expected a mapping"),
        ({"stages": {"alone": {"inputs": []}}}, "stages.alone.inputs"),
        ({"stages": {"taught": {"loss": {"soft": {"temperature": 0}}}}}, "stages.taught.loss.soft.temperature"),
        ({"stages": {"taught": {"loss": {"hard": -1}}}}, "stages.taught.loss.hard.weight"),
        ({"stages": {"taught": {"crossfit": 1}}}, "stages.taught.crossfit"),
        ({"data": "simulated"}, "data: expected a mapping of keys"),
        ({"study": "a study"}, "study: expected letters"),
        ({"target": {"name": "x", "events": {"calm": ["calm"]}}}, "target:"),
        ({"signals": {"eegg": []}}, "signals: there is no modality 'eegg'. Did you mean 'eeg'?"),
        ({"sweep": {"protocol.labelled": 3}}, "sweep.protocol.labelled: expected a list"),
        ({"sweep": {"protocol.labelled": [3, 3]}}, "sweep.protocol.labelled: 3 stands there twice"),
        ({"sweep": {"protocol.lablled": [3, 4]}}, "protocol.lablled: there is no such key. Did you mean 'labelled'?"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(
    tiny: Definition, mistakes: Mistakes, change: dict[str, Any], start: str
) -> None:
    definition = tiny()
    for key, value in change.items():
        merges = isinstance(value, dict) and isinstance(definition.get(key), dict) and key != "target"
        definition[key] = tiny(**{key: value})[key] if merges else value
    assert [mistake for mistake in mistakes(definition) if mistake.startswith(start)]


@pytest.mark.parametrize("definition", [None, [], "text", 3, {}, {1: 2}, {"stages": {1: 2, "like": {"like": ["x"]}}}])
def test_what_is_no_study_is_refused_and_never_crashes(mistakes: Mistakes, definition: Any) -> None:
    assert mistakes(definition)


@pytest.mark.parametrize("value", [None, 3, "x", True, [], {}, [[1]], {"x": {"y": 1}}, {1: 2}, float("nan")])
@pytest.mark.parametrize(
    "key", ["study", "data", "target", "signals", "windows", "protocol", "training", "stages", "compare", "sweep"]
)
def test_any_value_anywhere_is_judged_and_never_crashes(tiny: Definition, key: str, value: Any) -> None:
    with contextlib.suppress(StudyError):
        parse_study({**tiny(), key: value})


# ---- what belongs together ------------------------------------------------------------------------------------------


def test_a_loss_that_takes_knowledge_needs_a_teacher(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(stages={"taught": {"taught_by": None}}, compare=[]))
    assert "taught_by is not given" in matching(found, "stages.taught.loss")


def test_a_teacher_needs_a_loss_that_takes_its_knowledge(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(stages={"taught": {"loss": "hard"}}))
    assert "no loss of this stage takes the teacher's knowledge" in matching(found, "stages.taught.taught_by")


def test_a_hint_names_its_features_and_cannot_be_cross_fitted(tiny: Definition, mistakes: Mistakes) -> None:
    hint = {"hint": {"teacher": "", "student": 3}}
    found = mistakes(tiny(stages={"taught": {"loss": hint}}))
    assert "stages.taught.loss.hint.student: expected a name, found 3." in found
    found = mistakes(tiny(stages={"taught": {"loss": {"hint": {"teacher": ""}}}}))
    assert "stages.taught.loss.hint.teacher: expected a name, found ''." in found
    found = mistakes(tiny(stages={"taught": {"loss": "hint", "crossfit": 2}}))
    assert "different spaces" in matching(found, "stages.taught.crossfit")


def test_cross_fitting_and_unlabelled_windows_need_a_teacher(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(stages={"alone": {"crossfit": 2, "unlabelled": True}}))
    assert matching(found, "stages.alone.crossfit")
    assert matching(found, "stages.alone.unlabelled")


def test_stages_cannot_stand_on_each_other_in_a_circle(tiny: Definition, mistakes: Mistakes) -> None:
    stages = {"teacher": {"start": "taught"}, "alone": {"start": {"stage": "alone"}}}
    found = mistakes(tiny(stages=stages))
    assert "teacher, alone, taught stand on each other in a circle" in matching(found, "stages:")


def test_what_a_stage_names_must_exist(tiny: Definition, mistakes: Mistakes) -> None:
    stages = {"taught": {"taught_by": "teachr"}, "alone": {"inputs": ["edda"], "start": {"stage": "nobody"}}}
    found = mistakes(tiny(stages=stages, deploy="taugt", refit="all"))
    assert "Did you mean 'teacher'?" in matching(found, "stages.taught.taught_by")
    assert "Did you mean 'eda'?" in matching(found, "stages.alone.inputs")
    assert "Allowed: alone, taught, teacher." in matching(found, "stages.alone.start")
    assert "Did you mean 'taught'?" in matching(found, "deploy")


def test_a_signal_that_no_stage_reads_is_a_mistake(tiny: Definition, mistakes: Mistakes) -> None:
    assert "no stage reads it" in matching(mistakes(tiny(signals={"acc": []})), "signals.acc")
    assert "Did you mean 'eda'?" in matching(mistakes(tiny(clip={"edda": 3})), "clip.edda")


def test_a_minimum_quality_is_for_signals_of_the_study_and_between_0_and_1(
    tiny: Definition, mistakes: Mistakes
) -> None:
    found = mistakes(tiny(protocol={"minimum_quality": {"edda": 0.5, "eda": 1.5, "temp": True}}))
    assert "Did you mean 'eda'?" in matching(found, "protocol.minimum_quality.edda")
    assert "less than or equal to 1" in matching(found, "protocol.minimum_quality.eda:")
    assert "number" in matching(found, "protocol.minimum_quality.temp")
    study = parse_study(
        tiny(protocol={"minimum_quality": {"eda": 1}}, sweep={"protocol.minimum_quality.temp": [0, 0.5]})
    )
    asked = [variant.protocol.minimum_quality for variant in study.variants.values()]
    assert asked == [{"eda": 1, "temp": 0}, {"eda": 1, "temp": 0.5}]


def test_the_channels_that_are_read_are_those_of_all_stages(tiny: Definition) -> None:
    changed = tiny(
        stages={"alone": {"inputs": {"eda": ["a"], "temp": ["x"]}}, "taught": {"inputs": {"eda": ["b", "a"]}}}
    )
    changed["stages"]["teacher"]["inputs"] = {"eda": ["c"], "temp": None}
    changed["compare"] = []
    (variant,) = parse_study(changed).variants.values()
    assert variant.channels_read == {"eda": ["c", "a", "b"], "temp": None}


def test_nothing_is_deployed_without_a_refit(tiny: Definition, mistakes: Mistakes) -> None:
    assert "add refit: all" in matching(mistakes(tiny(deploy="taught")), "deploy")


def test_a_comparison_without_a_teacher_has_no_controls(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(compare=[{"taught": "teacher", "alone": "alone"}]))
    assert "so it has no controls" in matching(found, "compare.0.taught")
    parse_study(tiny(compare=[{"taught": "teacher", "alone": "alone", "controls": []}]))


def test_taught_and_alone_must_be_the_same_student(tiny: Definition, mistakes: Mistakes) -> None:
    other = tiny(stages={"alone": {"model": "mlp", "training": {"epochs": 1}}, "taught": {"model": "linear"}})
    del other["stages"]["taught"]["like"]
    other["stages"]["taught"]["inputs"] = ["eda"]
    assert "differ in model and training" in matching(mistakes(other), "compare.0")
    taught = {"alone": {"taught_by": "teacher", "loss": "soft"}}
    assert "has a teacher; name one that learns alone" in matching(mistakes(tiny(stages=taught)), "compare.0.alone")
    twice = tiny(compare=[{"taught": "taught", "alone": "alone"}] * 2)
    assert "stands there already" in matching(mistakes(twice), "compare.1")


@pytest.mark.parametrize("key", ["report.metric", "study", "question"])
def test_what_holds_for_the_whole_study_cannot_be_swept(tiny: Definition, mistakes: Mistakes, key: str) -> None:
    assert "the same in all variants" in matching(mistakes(tiny(sweep={key: ["accuracy", "kappa"]})), f"sweep.{key}")


def test_a_yes_is_not_one_labelled_subject(tiny: Definition, mistakes: Mistakes) -> None:
    assert "found True" in matching(mistakes(tiny(protocol={"labelled": True})), "protocol.labelled")


def test_what_only_begins_like_a_number_is_a_word(tmp_path: Path, tiny: Definition) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(as_yaml(tiny(question="64e284cabd")) + "# 1e5\n", encoding="utf-8")
    assert load_study(file).definition["question"] == "64e284cabd"
    assert load_study(file, ["training.learning_rate=1e-3"]).variants[""].training.learning_rate == 1e-3


def test_a_trace_has_no_temperature(tiny: Definition, mistakes: Mistakes) -> None:
    definition = tiny()
    definition["target"] = {"name": "arousal", "trace": "arousal", "within": ["calm", "aroused"]}
    assert "has no temperature" in matching(mistakes(definition), "stages.taught.loss.soft.temperature")


def test_an_arm_is_not_compared_with_itself(tiny: Definition, mistakes: Mistakes) -> None:
    assert "with itself" in matching(mistakes(tiny(compare=[{"taught": "taught", "alone": "taught"}])), "compare.0:")


def test_diagnostics_need_class_logits(tiny: Definition, mistakes: Mistakes) -> None:
    compare = [{"taught": "taught", "alone": "alone", "diagnostics": ["hard_labels", "within_predicted"]}]
    trace = tiny(compare=compare) | {"target": {"name": "arousal", "trace": "arousal"}}
    assert "the target is a trace" in matching(mistakes(trace), "compare.0.diagnostics")
    hint = {"taught": {"loss": {"hint": {"teacher": "hidden", "student": "hidden"}}}}
    definition = tiny(compare=compare, stages=hint)
    del definition["stages"]["taught"]["loss"]["hard"], definition["stages"]["taught"]["loss"]["soft"]
    assert "hard_labels change logits" in matching(mistakes(definition), "compare.0.diagnostics")


def test_a_metric_fits_the_kind_of_target(tiny: Definition, mistakes: Mistakes) -> None:
    assert "ccc scores a trace" in matching(mistakes(tiny(report={"metric": "ccc"})), "report.metric")


# ---- short forms ----------------------------------------------------------------------------------------------------


def test_like_takes_everything_that_the_stage_does_not_say_itself(tiny: Definition) -> None:
    definition = tiny(stages={"alone": {"training": {"epochs": 7}}})
    definition["stages"]["again"] = {"like": "taught", "loss": "soft"}
    stages = parse_study(definition).variants[""].stages
    assert stages["taught"].model.name == "linear"
    assert stages["taught"].inputs == {"eda": None}
    assert stages["taught"].training == {"epochs": 7}
    assert stages["again"].taught_by == ["teacher"]
    assert list(stages["again"].loss) == ["soft"]


def test_like_looks_up_only(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(stages={"teacher": {"like": "alone"}}))
    assert "there is no stage 'alone' above this one" in matching(found, "stages.teacher.like")


def test_short_forms_mean_the_long_ones(tiny: Definition) -> None:
    short = tiny(stages={"alone": {"model": "mlp", "inputs": "eda", "start": "other"}, "taught": {"loss": None}})
    short["stages"] = {"other": {"model": {"name": "mlp"}, "inputs": {"eda": None}}, **short["stages"]}
    short["stages"]["taught"] |= {"loss": {"hard": 0.5, "soft": None}}
    stages = parse_study(short).variants[""].stages
    assert stages["alone"].model == stages["other"].model
    assert stages["alone"].inputs == stages["other"].inputs
    assert stages["alone"].start is not None
    assert (stages["alone"].start.stage, stages["alone"].start.reset) == ("other", [])
    hard, soft = {"loss": "hard", "weight": 0.5}, {"loss": "soft", "weight": 1.0, "temperature": 2.0, "on": "all"}
    found = stages["taught"].losses
    assert list(found) == ["hard", "soft"]
    assert {**found["hard"], **hard} == found["hard"]
    assert {**found["soft"], **soft} == found["soft"]


def test_a_stage_overrides_single_keys_of_training(tiny: Definition) -> None:
    variant = parse_study(tiny(stages={"alone": {"training": {"epochs": 9}}})).variants[""]
    assert variant.settings(variant.stages["alone"]).epochs == 9
    assert variant.settings(variant.stages["alone"]).batch == 8
    assert variant.settings(variant.stages["teacher"]).epochs == 2


# ---- sweeps ---------------------------------------------------------------------------------------------------------


def test_a_sweep_is_the_product_of_its_values(tiny: Definition) -> None:
    study = parse_study(tiny(sweep={"protocol.labelled": [2, "all"], "normalise": ["train", "transductive"]}))
    assert list(study.variants) == [
        "labelled=2, normalise=train",
        "labelled=2, normalise=transductive",
        "labelled=all, normalise=train",
        "labelled=all, normalise=transductive",
    ]
    assert study.variants["labelled=all, normalise=train"].protocol.labelled == "all"
    assert study.variants["labelled=2, normalise=transductive"].mode == "transductive"


def test_variants_that_would_be_called_alike_are_told_apart(tiny: Definition) -> None:
    calibrations = [{"calibration": {"condition": "rest", "seconds": seconds}} for seconds in (4, 8)]
    study = parse_study(tiny(sweep={"normalise": calibrations}))
    assert [variant.calibration.seconds for variant in study.variants.values() if variant.calibration] == [4, 8]
    study = parse_study(tiny(sweep={"protocol.seed": [0, 1], "data.options.seed": [0, 1]}))
    assert len(study.variants) == 4


def test_a_mistake_in_a_swept_value_is_found(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(sweep={"training.schedule": ["cosine", "cosin"]}))
    assert "found 'cosin'" in matching(found, "training.schedule")


# ---- overrides ------------------------------------------------------------------------------------------------------


def test_overrides_reach_into_mappings_and_lists(tiny: Definition) -> None:
    overrides = [
        "protocol.labelled=2",
        "training.learning_rate=1e-3",
        "compare.0.diagnostics=[smoothed]",
        "stages.teacher.inputs=[eda, temp]",
        "report.level=trial",
        "question=Is it so?",
    ]
    variant = parse_study(tiny(), overrides=overrides).variants[""]
    assert variant.protocol.labelled == 2
    assert variant.training.learning_rate == pytest.approx(1e-3)
    assert variant.compare[0].diagnostics == ["smoothed"]
    assert variant.report.level == "trial"
    assert variant.question == "Is it so?"


def test_an_override_replaces_what_is_swept(tiny: Definition) -> None:
    swept = tiny(sweep={"protocol.labelled": [2, 3], "normalise": ["train", "transductive"]})
    assert list(parse_study(swept, overrides=["protocol.labelled=4"]).variants) == [
        "normalise=train",
        "normalise=transductive",
    ]
    assert list(parse_study(swept, overrides=["sweep.normalise=[train]", "protocol.labelled=2"]).variants) == [
        "normalise=train"
    ]
    assert list(parse_study(swept, overrides=["sweep={}"]).variants) == [""]
    assert list(parse_study(swept, overrides=["protocol={split: 2}", "normalise=train"]).variants) == [""]


def test_an_override_that_could_not_take_effect_is_a_mistake(tiny: Definition, mistakes: Mistakes) -> None:
    swept = tiny(sweep={"normalise": ["train", "transductive"]})
    found = mistakes(swept, ["normalise.calibration.seconds=3"])
    assert "the study sweeps normalise" in matching(found, "--set normalise.calibration.seconds")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("protocol.labelled", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("training.epochs=[", "is not YAML"),
        ("compare.3.taught=x", "there is nothing called 'compare.3'"),
        ("compare.x=3", "the list has no item x"),
        ("stages.alone.model.hidden=3", "stages.alone.model is 'linear', without keys of its own"),
        ("stages.taught.training.epochs=3", "is inherited through like"),
        ("protocol.labeled=3", "Did you mean 'labelled'?"),
    ],
)
def test_an_override_that_fits_nowhere_is_a_mistake(
    tiny: Definition, mistakes: Mistakes, override: str, says: str
) -> None:
    assert any(says in mistake for mistake in mistakes(tiny(), [override]))


def test_mistakes_in_overrides_and_in_the_study_are_reported_together(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(reprot={}), ["foo", "training.epocs=3"])
    assert len(found) == 3


def test_overrides_leave_the_definition_as_it_was(tiny: Definition) -> None:
    definition = tiny(sweep={"protocol.labelled": [2, 3]})
    before = tiny(sweep={"protocol.labelled": [2, 3]})
    parse_study(definition, overrides=["protocol.labelled=4", "training.epochs=9"])
    assert definition == before


# ---- files ----------------------------------------------------------------------------------------------------------


def write(folder: Path, definition: Any) -> Path:
    file = folder / "study.yaml"
    file.write_text(definition if isinstance(definition, str) else yaml.safe_dump(definition, sort_keys=False))
    return file


def test_a_study_is_read_from_a_file_and_written_again_the_same(tiny: Definition, tmp_path: Path) -> None:
    study = load_study(write(tmp_path, tiny(sweep={"protocol.labelled": [2, 3]})), ["training.epochs=5"])
    (tmp_path / "again").mkdir()
    again = load_study(write(tmp_path / "again", as_yaml(study.resolved)))
    assert again == study
    assert study.variants["labelled=2"].training.epochs == 5


def test_the_data_folder_of_a_file_is_relative_to_the_file(
    tiny: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "elsewhere").mkdir()
    definition = tiny()
    definition["data"] = {"corpus": "e4", "root": "../data"}
    file = write(tmp_path / "studies", definition)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_study(file).variants[""].data.root == tmp_path / "data"
    assert load_study(file).definition["data"]["root"] == "../data"
    assert load_study(file, ["data.root=mine"]).variants[""].data.root == tmp_path / "elsewhere" / "mine"
    assert load_study(file, [f"data.root={tmp_path}"]).variants[""].data.root == tmp_path


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no file '.*nowhere\.yaml'"):
        load_study(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("text", ["study: [", "a: b: c", "\x00", "key: 'open", "- &a [*a]\n- {*a : 1}"])
def test_broken_yaml_names_the_file_and_the_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(StudyError, match=r"study\.yaml"):
        load_study(write(tmp_path, text))


def test_bytes_that_are_no_text_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x93NUMPY")
    for file in (tmp_path / "binary.yaml", tmp_path):
        with pytest.raises(StudyError, match="cannot be read as YAML"):
            load_study(file)


def test_yaml_makes_no_objects(tmp_path: Path) -> None:
    made = tmp_path / "made"
    hostile = f"study: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{made}']]\n"
    with pytest.raises(StudyError, match="could not determine a constructor"):
        load_study(write(tmp_path, hostile))
    with pytest.raises(StudyError, match="is not YAML"):
        parse_study({"study": "x"}, overrides=[f"study=!!python/object/apply:os.mkdir ['{made}']"])
    assert not made.exists()


def test_a_key_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="the key 'epochs' stands there twice"):
        load_study(write(tmp_path, "study: x\ntraining: {epochs: 3, batch: 4, epochs: 5}\n"))


def test_anchors_and_merges_of_yaml_work(tiny: Definition, tmp_path: Path) -> None:
    definition = tiny()
    definition.pop("training")
    text = yaml.safe_dump(definition) + "training: {<<: &one {epochs: 3, batch: 4}, epochs: 5}\n"
    training = load_study(write(tmp_path, text)).variants[""].training
    assert (training.epochs, training.batch) == (5, 4)


def test_numbers_with_an_exponent_are_numbers(tiny: Definition, tmp_path: Path) -> None:
    definition = tiny()
    definition["stages"]["taught"].pop("loss")
    text = yaml.safe_dump(definition).replace(
        "taught_by: teacher", "taught_by: teacher\n    loss: {hard: 1, soft: 1e-3}"
    )
    losses = load_study(write(tmp_path, text)).variants[""].stages["taught"].losses
    assert losses["soft"]["weight"] == pytest.approx(1e-3)


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).resolve().parents[2] / "studies").glob("*.yaml")), ids=lambda file: file.stem
)
def test_the_ready_studies_are_valid(file: Path) -> None:
    study = load_study(file)
    assert study.name == file.stem
    assert study.variants


# ---- feature sets and live students ---------------------------------------------------------------------------------


def test_a_feature_set_stands_for_the_steps_of_the_modalities_that_are_read(tiny: Definition) -> None:
    definition = tiny(signals="wearable")
    read = {modality for stage in definition["stages"].values() for modality in stage.get("inputs", [])}
    signals = parse_study(definition).variants[""].signals
    assert set(signals) == read
    assert all(steps[-1] == {"features": "wearable"} for steps in signals.values())


def test_an_unknown_feature_set_is_the_only_mistake_it_makes(tiny: Definition, mistakes: Mistakes) -> None:
    assert mistakes(tiny(signals="wearabel")) == [
        "signals: there is no feature set 'wearabel'. Did you mean 'wearable'?"
    ]
    assert mistakes(tiny(signals="zhang2022")) == [
        "signals: the feature set zhang2022 is of eeg; the stages also read eda, temp."
    ]
    assert mistakes(tiny(signals="hjorth")) == [
        "signals: 'hjorth' is a feature: write {MODALITY: [{features: [hjorth]}]}."
    ]


def test_a_live_study_refuses_steps_of_its_student_that_look_ahead(tiny: Definition, mistakes: Mistakes) -> None:
    rest = [{"features": ["statistics"]}]
    look_ahead = {"eda": [{"lowpass": 1}, {"resample": 4}, *rest], "temp": [{"lowpass": 1}, *rest]}
    found = mistakes(tiny(live=True, signals=look_ahead))
    assert len(found) == 2  # the teacher's temperature may look ahead: only the student runs live
    start = "live: signals.eda: a pipeline that runs live must be causal, and "
    assert found[0].startswith(start + "lowpass looks at later samples; write {lowpass: {..., causal: true}}")
    assert found[1].startswith(start + "resample looks at later samples; it has no causal form")
    causal = {"eda": [{"lowpass": {"cutoff": 1, "causal": True}}, *rest], "temp": look_ahead["temp"]}
    assert parse_study(tiny(live=True, signals=causal)).variants[""].live
    (mistake,) = mistakes(tiny(live=True, signals=causal, normalise="transductive"))
    assert mistake.startswith("live: a student that runs live cannot be scaled by recordings that have not ended")


def test_a_model_that_cannot_read_its_inputs_is_told_before_anything_is_read(
    tiny: Definition, mistakes: Mistakes
) -> None:
    found = mistakes(tiny(signals={"temp": []}))
    assert [mistake.partition(":")[0] for mistake in found] == ["stages.teacher.model"]
    assert "'linear' reads features, but temp is left as signals" in found[0]
    assert "add a features step to signals.temp" in found[0]
    found = mistakes(tiny(stages={"teacher": {"model": "fusion_cnn"}}))
    assert "stages.teacher.model: 'fusion_cnn' reads signals, but of eda and temp features are made" in found[0]


# ---- any value at any key -------------------------------------------------------------------------------------------

STRANGE: list[Any] = [
    *(3, True, None, "x", [], {}, [1], {"a": 1}, float("nan"), {"teacher": 3}, {"teacher": {}}, ["teacher"], {1: 2}),
    *([[]], {"average": [1]}, {"drop": {"eda": []}}, ["alone", "taught"], -1, "stages.taught"),
]

OF_STAGE = ["taught_by", "knowledge", "partners", "steps", "predict_with", "augment", "without", "target", "loss"]
OF_STAGE += ["start", "crossfit", "unlabelled", "labelled", "training", "model", "inputs"]
PARTS = {
    "knowledge": ("combine", "calibrate", "confidence", "share", "balance"),
    "partners.p": ("stage", "model", "inputs", "learns", "start", "dropout", "momentum", "of"),
    "steps.feedback": ("mode", "every", "partner", "quiz", "order", "regulated"),
    "start": ("stage", "reset", "partner"),
    "loss.soft": ("loss", "weight", "temperature", "on"),
}


def set_at(definition: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return a definition with a value at a key, mappings on the way made where there are none."""
    *parents, last = key.split("/")
    place = definition
    for part in parents:
        place[part] = place[part] if isinstance(place.get(part), dict) else {}
        place = place[part]
    place[last] = value
    return definition


WITHIN = [f"stages/taught/{part.replace('.', '/')}/{key}" for part, keys in PARTS.items() for key in keys]
KEYS = [f"stages/taught/{key}" for key in OF_STAGE] + WITHIN
KEYS += ["choose", "data/subjects", "distil", "compare", "deploy", "refit"]
KEYS += [f"choose/stages.taught{key}" for key in ("", ".loss", ".loss.soft.weight", ".taught_by", ".inputs", ".target")]
KEYS += [f"distil/{key}" for key in ("recipe", "recipes", "teacher", "student", "controls", "diagnostics", "crossfit")]


@pytest.mark.parametrize("key", KEYS)
def test_any_value_at_any_key_of_teaching_is_judged_and_never_crashes(tiny: Definition, key: str) -> None:
    for value in STRANGE:
        definition = tiny()
        if key.startswith("distil/"):
            definition["distil"] = {"recipe": "hinton", "teacher": "teacher", "student": "alone"}
        with contextlib.suppress(StudyError):
            parse_study(set_at(definition, key, copy.deepcopy(value)))
        if key.startswith("choose/"):
            for values in ([value, value], [value, 1], ["alone", value]):
                with contextlib.suppress(StudyError):
                    parse_study(set_at(tiny(), key, copy.deepcopy(values)))


# ---- teaching that cannot be ----------------------------------------------------------------------------------------


def test_features_that_a_model_lacks_are_refused_with_those_it_has(
    tiny: Definition, plan_of: Callable[..., Plan]
) -> None:
    definition = tiny(stages={"teacher": {"model": "mlp"}, "alone": {"model": "mlp"}})
    definition["stages"]["taught"]["loss"] = {"hint": {"student": "hiden", "teacher": "hidden"}}
    with pytest.raises(
        StudyError, match=r"stages\.taught\.loss\.hint\.student: the network has no feature 'hiden'"
    ) as e:
        plan_of(definition)
    assert "Did you mean 'hidden'?" in str(e.value) or "It has: hidden" in str(e.value)
    assert len(e.value.mistakes) == 1  # controls fail of the same, which is told once


def test_a_batch_too_small_to_compare_windows_in_is_refused(tiny: Definition, plan_of: Callable[..., Plan]) -> None:
    definition = tiny(stages={"teacher": {"model": "mlp"}, "alone": {"model": "mlp", "training": {"batch": 2}}})
    definition["stages"]["taught"]["loss"] = {"rkd": {"student": "hidden", "teacher": "hidden"}}
    told = "loss.rkd: it compares at least 3 windows of a batch with each other, and training.batch is 2; raise it"
    with pytest.raises(StudyError, match=told):
        parse_study(definition)
    del definition["stages"]["alone"]["training"]
    definition["training"]["batch"] = 2
    with pytest.raises(StudyError, match=told):
        plan_of(definition)


def test_a_teacher_that_says_nothing_finite_is_refused_before_anything_is_trained(
    tiny: Definition, plan_of: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tiny(compare=[], protocol={"labelled": "all"}))
    (variant,) = plan.variants
    run_task(variant.task("teacher", 0, plan.store))
    key = variant.stages["teacher"].key
    file = plan.store.group(key, 0) / "knowledge.logits.npy"
    values = np.load(file)
    fold = variant.folds[0]
    values[0, fold.training[:2]] = np.nan
    np.save(file, values)
    task = variant.task("taught", 0, plan.store)
    monkeypatch.setattr(tasks_room, "fit", None)
    with pytest.raises(DataError, match=r"the logits of the teacher 'teacher' are not finite in 2 of the 24 windows"):
        run_task(replace(task, keys={name: (own, (0,)) for name, (own, _) in task.keys.items()}))


# ---- knowledge that nothing is done with ----------------------------------------------------------------------------

TWO = {"taught_by": ["teacher", "cool"]}
HINT = {"hard": 1, "hint": {"teacher": "hidden", "student": "hidden", "map": "linear"}}
TRACE = {"name": "arousal", "trace": "arousal", "within": ["calm", "aroused"]}


def taught_with(tiny: Definition, stage: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the tiny study with two possible teachers, and the taught stage changed."""
    definition = tiny(compare=[], **changes)
    definition["stages"]["cool"] = {"model": "mlp", "inputs": ["temp"]}
    definition["stages"]["taught"] = {"like": "alone", "taught_by": "teacher", "loss": "soft", **stage}
    return definition


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ({"taught_by": [], "loss": "hard", "knowledge": {"share": 0.5}}, "knowledge: it is about what teachers hand"),
        (
            {
                "partners": {"teacher": {"stage": "teacher", "start": True, "learns": "frozen"}},
                "knowledge": {"calibrate": True},
            },
            "knowledge: it is about what teachers hand over before the stage trains",
        ),
        ({"loss": HINT, "knowledge": {"calibrate": True}}, "knowledge.calibrate: it is about logits, and no loss"),
        ({**TWO, "loss": HINT, "knowledge": {"combine": "best"}}, "knowledge.combine: it is about logits, and no loss"),
        ({"knowledge": {"combine": {"weights": {"weights": [1]}}}}, "knowledge.combine: it puts several teachers"),
        (
            {**TWO, "knowledge": {"combine": {"weights": {"weights": [1, 2, 3]}}}},
            "combine: weights: expected 2 numbers",
        ),
        ({**TWO, "knowledge": {"combine": {"weights": {"weights": [1, -2]}}}}, "combine: weights: expected 2 numbers"),
        ({**TWO, "knowledge": {"combine": "weights"}}, "combine: weights: expected 2 numbers, one per teacher"),
        ({**TWO, "knowledge": {"combine": {"weights": {"weights": ["a", 2]}}}}, "combine: weights cannot be used with"),
        ({**TWO, "knowledge": {"combine": {"accuracy": {"tau": -1}}}}, "combine: "),
        ({"loss": {"soft": {"on": "unlabelled"}}, "unlabelled": False}, "loss.soft.on: it would learn nothing, since"),
        ({"knowledge": {"share": 0.5}, "unlabelled": False}, "knowledge.share: it leaves out unlabelled windows"),
    ],
)
def test_what_is_said_of_knowledge_has_something_that_it_is_said_of(
    tiny: Definition, mistakes: Mistakes, stage: dict[str, Any], says: str
) -> None:
    (told,) = [one for one in mistakes(taught_with(tiny, stage)) if not one.startswith("stages.cool")]
    assert told.startswith("stages.taught."), told
    assert says in told


@pytest.mark.parametrize(
    "stage",
    [
        {"loss": HINT, "knowledge": {"confidence": 0.8, "calibrate": True}},  # logits decide what features are taken of
        {**TWO, "knowledge": {"combine": {"weights": {"weights": [1, 3]}}}},
        {**TWO, "knowledge": {"combine": {"accuracy": {"tau": 0.2}}}},
        {"knowledge": {"combine": "average"}},
    ],
)
def test_what_is_done_to_knowledge_is_taken(tiny: Definition, stage: dict[str, Any]) -> None:
    parse_study(taught_with(tiny, stage))


@pytest.mark.parametrize(
    ("knowledge", "says"),
    [
        ({"calibrate": True}, "knowledge.calibrate: it needs the probabilities of classes"),
        ({"confidence": 0.5}, "knowledge.confidence: it needs the probabilities of classes"),
        ({"share": 0.5}, "knowledge.share: it needs the probabilities of classes"),
        ({"combine": "best"}, "knowledge.combine: 'best' needs the probabilities of classes; for a trace take"),
        ({"combine": "confidence"}, "knowledge.combine: 'confidence' needs the probabilities of classes"),
    ],
)
def test_what_needs_probabilities_is_refused_on_a_trace(
    tiny: Definition, mistakes: Mistakes, knowledge: dict[str, Any], says: str
) -> None:
    definition = taught_with(tiny, {**TWO, "knowledge": knowledge}) | {"target": TRACE}
    assert any(says in told for told in mistakes(definition))
    parse_study(taught_with(tiny, {**TWO, "knowledge": {"combine": "accuracy"}}) | {"target": TRACE})


@pytest.mark.parametrize(("on", "drawn"), [("all", True), ("unlabelled", True), ("labelled", False)])
def test_unlabelled_windows_are_drawn_for_losses_that_learn_from_them(tiny: Definition, on: str, drawn: bool) -> None:
    study = parse_study(taught_with(tiny, {"loss": {"hard": 1, "soft": {"on": on}}}))
    assert study.variants[""].stages["taught"].learns_without_labels is drawn


def test_probabilities_are_put_together_at_one_temperature() -> None:
    definition = yaml.safe_load((Path(__file__).resolve().parents[2] / "studies" / "demo.yaml").read_text())
    definition["stages"] |= {"second": {"like": "teacher"}}
    taught = definition["stages"]["taught"]
    taught |= {"taught_by": ["teacher", "second"], "knowledge": {"combine": "confidence"}}
    taught["loss"] = {"hard": 1, "mutual": {"temperature": 0.5}, "soft": {"temperature": 4}}
    taught["partners"] = {"peer": {}}
    (variant,) = parse_study(definition).variants.values()
    assert variant.stages["taught"].soft_temperatures == [4.0]
    taught["loss"]["soft_ce"] = {"temperature": 2}
    with pytest.raises(StudyError, match=r"losses of this stage have 4, 2; give them one"):
        parse_study(definition)
