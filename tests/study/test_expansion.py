"""``distil`` in a study: which stages and comparisons it makes, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.errors import StudyError
from limbeck.notation import write_yaml
from limbeck.study import parse_study
from limbeck.study.expansion import expanded, recipes_of

TEACHER = {"model": "mlp", "inputs": ["eda", "temp"]}
STUDENT = {"model": "mlp", "inputs": ["eda"]}


@pytest.fixture
def distilling(tiny: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make the tiny study with ``distil`` instead of stages: ``distilling({"recipe": "hinton"}, compare=[...])``."""

    def make(distil: Any, **changes: Any) -> dict[str, Any]:
        if isinstance(distil, dict):
            distil = {"teacher": dict(TEACHER), "student": dict(STUDENT), **distil}
            distil = {key: value for key, value in distil.items() if value is not None}
        return {**tiny(stages=None, compare=None), "distil": distil, **changes}

    return make


def test_one_recipe_makes_teacher_alone_and_taught_and_compares_them(
    distilling: Callable[..., dict[str, Any]],
) -> None:
    definition = distilling({"recipe": "hinton", "temperature": 3})
    (variant,) = parse_study(definition).variants.values()
    assert list(variant.stages) == ["teacher", "alone", "hinton"]
    arm = variant.stages["hinton"]
    assert arm.model == variant.stages["alone"].model
    assert arm.inputs == variant.stages["alone"].inputs == {"eda": None}
    assert arm.taught_by == ["teacher"]
    assert arm.loss == {"hard": {"weight": 0.1}, "soft": {"weight": 0.9, "temperature": 3}}
    (comparison,) = variant.compare
    assert (comparison.taught, comparison.alone) == ("hinton", "alone")
    assert comparison.controls == ["own_input", "scrambled"]


def test_several_recipes_share_teacher_and_student(distilling: Callable[..., dict[str, Any]]) -> None:
    recipes = ["hinton", {"rkd": {"angle": 0}}, {"softer": {"recipe": "hinton", "temperature": 8}}, "mean_teacher"]
    (variant,) = parse_study(distilling({"recipes": recipes})).variants.values()
    made = ["teacher", "alone", "hinton", "rkd", "softer", "mean_teacher_alone", "mean_teacher"]
    assert list(variant.stages) == made
    assert [one.taught for one in variant.compare] == ["hinton", "rkd", "softer", "mean_teacher"]
    assert variant.stages["softer"].loss["soft"]["temperature"] == 8
    assert variant.compare[-1].controls == []  # nobody reads more than the student
    assert [one.alone for one in variant.compare] == ["alone", "alone", "alone", "mean_teacher_alone"]


def test_what_is_written_beside_it_stays_and_may_refer_to_it(distilling: Callable[..., dict[str, Any]]) -> None:
    own = {"later": {"like": "hinton", "start": "hinton"}}
    compare = [{"taught": "later", "alone": "alone", "controls": []}]
    (variant,) = parse_study(distilling({"recipe": "hinton"}, stages=own, compare=compare)).variants.values()
    assert variant.stages["later"].taught_by == ["teacher"]
    assert [one.taught for one in variant.compare] == ["hinton", "later"]


def test_teacher_and_student_may_be_stages_of_the_user(distilling: Callable[..., dict[str, Any]]) -> None:
    stages = {
        "wide": {"model": {"name": "mlp", "hidden": 24}, "inputs": ["eda", "temp"]},
        "rich": {"like": "wide", "training": {"epochs": 3}},
        "poor": {"model": "mlp", "inputs": ["eda"]},
    }
    distil = {"recipes": ["hinton", "takd"], "teacher": "rich", "student": "poor"}
    definition = distilling(distil, stages=stages)
    (variant,) = parse_study(definition).variants.values()
    assert variant.stages["hinton"].taught_by == ["rich"]
    assert variant.compare[0].alone == "poor"
    assert variant.stages["takd_assistant_1"].inputs == {"eda": None, "temp": None}
    assert "teacher" not in variant.stages
    assert "like" not in expanded(definition)["stages"]["hinton"]  # it stands above the user's own


def test_a_stage_of_the_user_is_never_replaced(
    distilling: Callable[..., dict[str, Any]], mistakes: Callable[..., list[str]]
) -> None:
    own = {"teacher": TEACHER, "hinton": STUDENT}
    assert mistakes(distilling({"recipe": "hinton"}, stages=own)) == [
        "stages.teacher: distil makes a stage of this name; give yours another, or write distil.teacher: teacher to "
        "use it.",
        "stages.hinton: distil makes a stage of this name; give yours another.",
    ]


def test_controls_and_diagnostics_are_those_that_are_asked_for(distilling: Callable[..., dict[str, Any]]) -> None:
    distil = {"recipes": ["hinton", "born_again"], "controls": ["own_input"], "diagnostics": ["smoothed"]}
    (variant,) = parse_study(distilling(distil)).variants.values()
    first, second = variant.compare
    assert (first.controls, first.diagnostics) == (["own_input"], ["smoothed"])
    assert second.controls == []  # its own teacher reads what it reads


def test_own_input_of_features_that_the_students_network_may_lack_has_to_be_asked_for(
    distilling: Callable[..., dict[str, Any]],
) -> None:
    signals: dict[str, list[Any]] = {"eda": [], "temp": []}
    networks = {"teacher": {"model": "sdt", "inputs": ["eda", "temp"]}, "student": {"model": "tcn", "inputs": ["eda"]}}
    answers = expanded(distilling({"recipe": "hinton", **networks}, signals=signals))["compare"][0]
    usual = expanded(distilling({"recipe": "fitnets", **networks}, signals=signals))["compare"][0]
    asked = expanded(distilling({"recipe": "fitnets", "controls": ["own_input"], **networks}, signals=signals))
    assert answers["controls"] == ["own_input", "scrambled"]
    assert usual["controls"] == ["scrambled"]
    assert asked["compare"][0]["controls"] == ["own_input"]


def test_what_is_done_to_knowledge_is_done_for_every_arm_that_takes_it(
    distilling: Callable[..., dict[str, Any]],
) -> None:
    distil = {"recipes": ["hinton", "noisy_student", "mean_teacher"], "knowledge": {"calibrate": True}, "crossfit": 2}
    stages = expanded(distilling(distil))["stages"]
    assert stages["hinton"]["knowledge"] == {"calibrate": True}
    assert stages["noisy_student"]["knowledge"] == {"confidence": 0.3, "balance": True, "calibrate": True}
    assert stages["hinton"]["crossfit"] == 2
    assert "crossfit" not in stages["mean_teacher"]


def test_a_teacher_who_teaches_nobody_lends_its_network_and_is_no_stage(
    distilling: Callable[..., dict[str, Any]],
) -> None:
    stages = expanded(distilling({"recipe": "dml"}))["stages"]
    assert "teacher" not in stages
    assert stages["dml"]["partners"]["rich"] == TEACHER


def test_overrides_and_sweeps_reach_the_options(distilling: Callable[..., dict[str, Any]]) -> None:
    definition = distilling({"recipe": "hinton"})
    (variant,) = parse_study(definition, overrides=["distil.temperature=7"]).variants.values()
    assert variant.stages["hinton"].loss["soft"]["temperature"] == 7
    swept = {**definition, "sweep": {"distil.weight": [0.3, 0.6]}}
    weights = [one.stages["hinton"].loss["soft"]["weight"] for one in parse_study(swept).variants.values()]
    assert weights == [0.3, 0.6]
    with pytest.raises(StudyError, match=r"several studies; choose one of them: --set distil.weight=VALUE"):
        expanded(swept)


def test_what_is_the_default_is_not_written(distilling: Callable[..., dict[str, Any]]) -> None:
    usual = expanded(distilling({"recipe": "emotionkd"}))["stages"]["emotionkd"]
    assert "map" not in usual["loss"]["hint"]
    assert usual["steps"]["feedback"] == {"partner": "teacher", "mode": "second_order"}
    other = expanded(distilling({"recipe": "emotionkd", "map": "linear", "quiz": 4}))["stages"]["emotionkd"]
    assert other["loss"]["hint"]["map"] == "linear"
    assert other["steps"]["feedback"]["quiz"] == 4


def test_no_stage_shares_what_it_says_with_another(distilling: Callable[..., dict[str, Any]]) -> None:
    assistants = [{"model": "mlp", "inputs": ["eda", "temp"]}] * 2
    stages = expanded(distilling({"recipe": "takd", "assistants": assistants}))["stages"]
    assert "&id" not in write_yaml(stages)
    stages["takd_assistant_1"]["inputs"].append("acc")
    assert stages["takd_assistant_2"]["inputs"] == ["eda", "temp"]


def test_it_is_known_which_recipe_an_arm_comes_from(distilling: Callable[..., dict[str, Any]]) -> None:
    several = {"recipes": ["hinton", {"rkd": {"angle": 0}}, {"softer": {"recipe": "hinton", "temperature": 8}}]}
    assert recipes_of(distilling(several)) == {"hinton": "hinton", "rkd": "rkd", "softer": "hinton"}
    assert recipes_of(distilling({"recipe": "sp"})) == {"sp": "sp"}
    swept = {**distilling({"recipe": "sp"}), "sweep": {"distil.recipe": ["sp", "rkd"]}}
    assert recipes_of(swept) == {"sp": "sp", "rkd": "rkd"}
    assert recipes_of({"stages": {}}) == {}


def test_writing_out_changes_nothing_else(distilling: Callable[..., dict[str, Any]]) -> None:
    definition = distilling({"recipe": "hinton"})
    whole = expanded(definition)
    assert definition == distilling({"recipe": "hinton"})
    assert {key: value for key, value in whole.items() if key not in ("stages", "compare")} == {
        key: value for key, value in definition.items() if key != "distil"
    }
    plain = {key: value for key, value in whole.items() if key != "distil"}
    assert expanded(plain) == plain


@pytest.mark.parametrize(
    ("distil", "expected"),
    [
        ("hinton", ["distil: expected a mapping of keys, found 'hinton'."]),
        ({"recipe": "hintn"}, ["distil: there is no recipe 'hintn'. Did you mean 'hinton'?"]),
        (
            {"recipe": "hinton", "temprature": 2},
            ["distil.temprature: the recipe 'hinton' has no such option. Did you mean 'temperature'?"],
        ),
        (
            {"recipe": "hinton", "teacher": None},
            [
                "distil.teacher: hinton needs a teacher; write teacher: {model: MODEL, inputs: [MODALITY, ...]}, or "
                "the name of a stage."
            ],
        ),
        (
            {"recipe": "born_again"},
            [
                "distil.teacher: born_again teaches a network by itself and takes no teacher; remove teacher, or take "
                "another recipe (limbeck methods)."
            ],
        ),
        (
            {"recipe": "hinton", "teacher": "rich", "student": {"model": "mlp"}, "controls": ["own"]},
            [
                "distil.controls: there is no 'own'. Allowed: own_input, scrambled.",
                "distil.student.inputs: this key is needed.",
                "distil.teacher: there is no stage 'rich'.",
            ],
        ),
        (
            {"recipe": "hinton", "student": {**STUDENT, "taught_by": "teacher"}},
            [
                "distil.student.taught_by: there is no such key. Allowed: augment, inputs, labelled, model, training, "
                "without. What is more than that is a stage: write it under stages, and its name here."
            ],
        ),
        ({"recipes": ["hinton", "hinton"]}, ["distil.recipes: hinton stands there twice; call one otherwise: {NAME: "]),
        ({"recipes": "hinton"}, ["distil.recipes: expected a list of recipes, found 'hinton'."]),
        ({"recipes": [{"hinton": 2}]}, ["distil.recipes.0.hinton: expected a mapping of options, found 2."]),
        ({"recipes": ["hinton"], "weight": 2}, ["distil.weight: there is no such key."]),
    ],
)
def test_mistakes_are_told_with_their_keys(
    distil: Any,
    expected: list[str],
    distilling: Callable[..., dict[str, Any]],
    mistakes: Callable[..., list[str]],
) -> None:
    found = mistakes(distilling(distil))
    assert len(found) == len(expected), found
    for mistake, start in zip(found, expected, strict=True):
        assert mistake.startswith(start)


def test_one_recipe_or_a_list_of_them_is_expected(
    distilling: Callable[..., dict[str, Any]], mistakes: Callable[..., list[str]]
) -> None:
    (both,) = mistakes(distilling({"recipe": "hinton", "recipes": ["rkd"]}))
    (neither,) = mistakes(distilling({}))
    assert both.endswith("found both.")
    assert "found neither. Allowed: at, born_again" in neither


def test_own_input_that_would_be_the_arm_itself_is_refused(
    distilling: Callable[..., dict[str, Any]], mistakes: Callable[..., list[str]]
) -> None:
    signals = {"signals": {"eda": [{"features": ["statistics"]}]}}
    for recipe in ("hinton", "metadistil"):  # handed over, and asked at every step
        definition = distilling({"recipe": recipe, "teacher": dict(STUDENT)})
        definition["signals"] = signals["signals"]
        (mistake,) = mistakes(definition)
        assert mistake.startswith(f"distil.controls: own_input of '{recipe}' would be '{recipe}' once more")
        assert "write controls: [scrambled]" in mistake
        definition["distil"]["controls"] = ["scrambled"]
        (variant,) = parse_study(definition).variants.values()
        assert variant.compare[0].controls == ["scrambled"]
        definition["distil"] |= {"teacher": {**STUDENT, "training": {"epochs": 9}}, "controls": ["own_input"]}
        assert len(mistakes(definition)) == 1


@pytest.mark.parametrize(
    ("distil", "start"),
    [
        ({"recipe": "at"}, "distil: no feature of 'mlp' is known"),
        (
            {"recipes": ["hinton", {"fitnets": {}}], "student": {**STUDENT, "model": "svm"}},
            "distil.recipes.1.fitnets: 'svm'",
        ),
        ({"recipes": ["multi_teacher"], "teacher": STUDENT}, "distil.teacher.inputs, for multi_teacher: the teacher"),
        ({"recipe": "emotionkd", "feedback": "second-order"}, "distil.feedback: expected one of second_order"),
        (
            {"recipe": "emotionkd", "student": {**STUDENT, "model": "mpl"}},
            "distil.student.model: there is no such model.",
        ),
        (
            {"recipe": {"hinton": {"weight": 2}}},
            "distil: expected the name of a recipe, found {hinton: {weight: 2}}; its",
        ),
    ],
)
def test_what_a_recipe_cannot_do_is_told_with_what_was_written(
    distil: Any, start: str, distilling: Callable[..., dict[str, Any]], mistakes: Callable[..., list[str]]
) -> None:
    (mistake,) = mistakes(distilling(distil))
    assert mistake.startswith(start)


def test_a_recipe_for_unlabelled_windows_is_refused_once_where_there_are_none(
    distilling: Callable[..., dict[str, Any]], mistakes: Callable[..., list[str]]
) -> None:
    (mistake,) = mistakes(distilling({"recipe": "noisy_student"}, protocol={"split": 3}))
    assert "'noisy_student' learns from windows whose labels are hidden, and protocol.labelled is all" in mistake


def test_mistakes_beside_a_recipe_that_does_not_exist_are_told_with_it(
    distilling: Callable[..., dict[str, Any]], mistakes: Callable[..., list[str]]
) -> None:
    overrides = ["distil.recipe=hnton", "protocol.lablled=3", "windows.lenght=3"]
    found = mistakes(distilling({"recipe": "hinton"}), overrides)
    assert [mistake.partition("Did you mean ")[2] for mistake in found] == ["'hinton'?", "'length'?", "'labelled'?"]


def test_mistakes_in_stages_that_nobody_wrote_say_where_they_come_from(
    distilling: Callable[..., dict[str, Any]], mistakes: Callable[..., list[str]]
) -> None:
    distil = {"recipe": "emotionkd", "every": 0, "student": {**STUDENT, "training": {"epocs": 2}}}
    student, steps = mistakes(distilling(distil))
    assert student == "distil.student.training.epocs: there is no such key. Did you mean 'epochs'?"
    assert steps.startswith("stages.emotionkd.steps: every: expected a whole number")
    assert steps.endswith("(distil makes emotionkd by the recipe emotionkd.)")


def test_what_only_shows_against_the_data_says_it_too(
    distilling: Callable[..., dict[str, Any]], plan_of: Callable[..., Any]
) -> None:
    with pytest.raises(StudyError, match=r"no feature 'imf'.* \(distil makes emotionkd by the recipe emotionkd\.\)"):
        plan_of(distilling({"recipe": "emotionkd", "student_feature": "imf"}))
    with pytest.raises(StudyError, match=r"Lower training\.batch, .* or distil\.quiz\."):
        plan_of(distilling({"recipe": "emotionkd", "quiz": 100}))


def test_options_of_a_recipe_are_chosen_as_the_key_that_they_are(distilling: Callable[..., dict[str, Any]]) -> None:
    listed = {"recipes": ["hinton", {"softer": {"recipe": "hinton"}}]}
    for distil, chosen, key, values in (
        ({"recipe": "hinton"}, "distil.weight", "stages.hinton.loss.soft.weight", [0.1, 0.9]),
        ({"recipe": "emotionkd"}, "distil.map", "stages.emotionkd.loss.hint.map", ["auto", "linear"]),
        (listed, "distil.recipes.1.softer.weight", "stages.softer.loss.soft.weight", [0.1, 0.9]),
    ):
        (variant,) = parse_study(distilling(distil, choose={chosen: values})).variants.values()
        assert variant.choose == {key: values}


@pytest.mark.parametrize(
    ("recipe", "key", "says"),
    [
        ("takd", "distil.weight", "stages.takd_assistant_1.loss.soft.weight, stages.takd.loss.soft.weight; name keys"),
        ("hinton", "distil.student.training.epochs", "stages.alone.training.epochs, stages.hinton.training.epochs"),
        ("hinton", "distil.wight", "the recipe 'hinton' has no such option. Did you mean 'weight'?"),
    ],
)
def test_an_option_that_is_no_single_key_is_not_chosen(
    recipe: str,
    key: str,
    says: str,
    distilling: Callable[..., dict[str, Any]],
    mistakes: Callable[..., list[str]],
) -> None:
    (mistake,) = mistakes(distilling({"recipe": recipe}, choose={key: [1, 2]}))
    assert mistake.startswith(f"choose.{key}: ")
    assert says in mistake
