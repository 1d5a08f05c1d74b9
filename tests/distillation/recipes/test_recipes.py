"""Every recipe: what it says of itself, the stages that it makes, and that these train to the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from limbeck.distillation import LOSSES
from limbeck.distillation.contract import Batch, Context, Said
from limbeck.distillation.controls import CREDIT
from limbeck.distillation.recipes import MAP_FEATURES, RECIPES, SUMMARY_FEATURES, TOKEN_FEATURES, Recipe
from limbeck.distillation.teachers import confident
from limbeck.errors import StudyError
from limbeck.models import MODELS, InputShape, build
from limbeck.models.contract import Outputs, class_of, dry_run
from limbeck.notation import read_yaml, write_yaml
from limbeck.study import parse_study
from limbeck.study.expansion import expanded

ASKED_FOR = {
    *("hinton", "cosine", "fitnets", "at", "rkd", "sp", "crd"),
    *("emotionkd", "zhang_lu", "visual_to_eeg", "tlkd_method1", "tlkd_method2"),
    *("pkdot", "mt_pkdot", "mmpkd", "ssd", "takd", "dgkd", "dml", "mean_teacher", "noisy_student"),
    *("born_again", "snapshot", "sdt", "hkd_mer", "xkd", "multi_teacher"),
}


def recipe_class(name: str) -> type[Recipe]:
    found: Any = RECIPES[name]
    return found


def test_every_method_of_the_literature_that_was_asked_for_has_a_recipe() -> None:
    assert set(RECIPES) >= ASKED_FOR


def documented_meaning(documented: str, option: str) -> bool:
    """Whether the text of an option that is not set says what it then is, sends the reader on, or that it is needed."""
    (text,) = re.findall(rf"^(?:\w+, )*{option}\b.*\n((?:    .*\n?)+)", documented, re.MULTILINE)
    words = " ".join(text.split())
    return bool(re.search(r"default|where it is None|instead|Of the loss|As in|for tokens|target", words))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is(name: str) -> None:
    recipe = recipe_class(name)
    text = RECIPES.help(name)
    assert text.partition("\n")[0].endswith(".")
    assert recipe.paper
    assert set(recipe.controls) <= set(CREDIT)
    documented = text.partition("Parameters\n")[2]
    missing = [option for option in RECIPES.options(name) if option not in documented]
    assert not missing
    for fault in recipe.faults:
        assert fault.what.endswith(".")
        if fault.option:  # is written under distil
            assert set(read_yaml(fault.option)) <= {*RECIPES.options(name), "teacher", "student"}
    for option, default in RECIPES.options(name).items():  # what is not set says what then happens
        assert default is not None or documented_meaning(documented, option), option


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_makes_is_a_study_that_could_have_been_written(
    name: str, study_of: Callable[..., dict[str, Any]]
) -> None:
    definition = study_of(name)
    written = expanded(definition)
    assert "distil" not in written
    assert name in written["stages"]
    (by_hand,) = parse_study(written).variants.values()
    (by_recipe,) = parse_study(definition).variants.values()
    assert by_hand == by_recipe
    assert by_recipe.deployed == name  # what stays in the end is the student, whatever stands between
    assert "&id" not in write_yaml(written)
    named = {other for stage in by_recipe.stages.values() for other in stage.taught_by}
    assert name not in named


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_to_the_end_with_its_controls(
    name: str, study_of: Callable[..., dict[str, Any]], run_of: Callable[[dict[str, Any]], pd.DataFrame]
) -> None:
    definition = study_of(name)
    comparison = expanded(definition)["compare"][0]
    predictions = run_of(definition)
    arms = set(predictions["arm"])
    assert {comparison["taught"], comparison["alone"]} <= arms
    assert {f"{name}/{control}" for control in comparison["controls"]} <= arms
    own = predictions[predictions["arm"] == name]
    column = "p0" if "p0" in own else "prediction"
    assert len(own)
    assert np.isfinite(own[column]).all()


@pytest.mark.parametrize("name", [name for name in RECIPES if recipe_class(name).takes_teacher == "optional"])
def test_a_recipe_with_an_optional_teacher_does_without(name: str, study_of: Callable[..., dict[str, Any]]) -> None:
    definition = study_of(name)
    del definition["distil"]["teacher"], definition["signals"]["temp"]
    written = expanded(definition)
    assert written["compare"][0]["controls"] == []
    parse_study(definition)


@pytest.mark.parametrize("name", [name for name in RECIPES if set(recipe_class(name).kinds) == {"class", "trace"}])
def test_a_recipe_for_traces_makes_a_study_of_one(name: str, study_of: Callable[..., dict[str, Any]]) -> None:
    parse_study({**study_of(name), "target": {"name": "felt", "trace": "arousal"}})


@pytest.mark.parametrize("name", [name for name in RECIPES if len(recipe_class(name).kinds) == 1])
def test_a_recipe_for_one_kind_of_target_refuses_the_other(name: str, study_of: Callable[..., dict[str, Any]]) -> None:
    classes = {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}}
    other = classes if recipe_class(name).kinds == ("trace",) else {"name": "felt", "trace": "arousal"}
    with pytest.raises(
        StudyError, match=f"the recipe '{name}' is for a target that is a {recipe_class(name).kinds[0]}"
    ):
        parse_study({**study_of(name), "target": other})


# ---- published faults ----------------------------------------------------------------------------------------------

PARITY: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("hinton", {"t_squared": False}, "soft", {"t_squared": False, "balanced": False}),
    ("dkd", {"as_released": True}, "dkd", {"as_released": True, "balanced": False}),
    ("ssd", {"detach": False}, "stochastic", {"detach": False}),
    ("ssd", {"as_released": True}, "stochastic", {"as_released": True}),
    ("dml", {"average": False}, "mutual", {"average": False, "balanced": False}),
    ("dgkd", {"as_published": True}, "dense", {"reverse": True, "t_squared": False, "balanced": False}),
    (
        "tlkd_method1",
        {"as_published": True},
        "soft",
        {"of_probabilities": True, "t_squared": False, "balanced": False},
    ),
    ("pkdot", {"as_published": True}, "pkdot", {"per_row": True}),
    ("mt_pkdot", {"as_published": True}, "pkdot", {"per_row": True}),
    ("mt_pkdot", {"centroid": 0}, "pkdot", {"centroid": 0}),
    ("mmpkd", {"as_published": True}, "mmpkd", {"as_published": True}),
]


@pytest.mark.parametrize(("name", "options", "loss", "expected"), PARITY)
def test_a_flag_brings_a_published_fault_back_and_the_default_has_it_not(
    name: str,
    options: dict[str, Any],
    loss: str,
    expected: dict[str, Any],
    stages_of: Callable[..., dict[str, Any]],
) -> None:
    usual, faulty = stages_of(name)[name]["loss"][loss], stages_of(name, **options)[name]["loss"][loss]
    default = {**LOSSES.options(loss), **usual}
    faulty = {**LOSSES.options(loss), **faulty}
    for key, value in expected.items():
        assert faulty[key] == value
        assert default[key] != value


def test_released_feedback_of_emotionkd_has_no_gradient(stages_of: Callable[..., dict[str, Any]]) -> None:
    assert stages_of("emotionkd")["emotionkd"]["steps"]["feedback"]["mode"] == "second_order"
    released = stages_of("emotionkd", feedback="ce_only")["emotionkd"]
    assert released["steps"]["feedback"]["mode"] == "ce_only"
    without = stages_of("emotionkd", feedback="none")["emotionkd"]
    assert "steps" not in without
    assert "partners" not in without  # its knowledge is then handed over once


def test_released_stochastic_teachers_have_no_dropout(stages_of: Callable[..., dict[str, Any]]) -> None:
    assert stages_of("ssd")["ssd"]["partners"]["teacher"]["dropout"] is True
    assert stages_of("ssd", as_released=True)["ssd"]["partners"]["teacher"]["dropout"] is False


def test_self_distillation_of_sdt_has_both_published_faults_as_flags(stages_of: Callable[..., dict[str, Any]]) -> None:
    usual = stages_of("sdt")["sdt_teacher"]["loss"]["self_distil"]
    faulty = stages_of("sdt", detach_teacher=False, t_squared=False)["sdt_teacher"]["loss"]["self_distil"]
    assert usual.keys().isdisjoint({"detach_teacher", "t_squared", "balanced"})  # all are so by default
    assert (faulty["detach_teacher"], faulty["t_squared"], faulty["balanced"]) == (False, False, False)


def test_published_concordance_of_a_trace_mixes_its_estimators(study_of: Callable[..., dict[str, Any]]) -> None:
    def hard(**options: Any) -> Any:
        definition = {**study_of("visual_to_eeg", **options), "target": {"name": "felt", "trace": "arousal"}}
        return expanded(definition)["stages"]["visual_to_eeg"]["loss"]["hard"]

    assert hard() == {"weight": 1.0, "form": "ccc"}
    assert hard(hard=0.5)["weight"] == 0.5
    assert hard(as_published=True) == {"weight": 1.0, "form": "ccc", "mixed": True}
    with pytest.raises(StudyError, match=r"distil\.as_published: it is of the concordance"):
        parse_study(study_of("visual_to_eeg", as_published=True))


def test_a_trace_is_learned_alone_by_the_loss_of_the_arm(study_of: Callable[..., dict[str, Any]]) -> None:
    for name in ("visual_to_eeg", "mmpkd"):
        written = expanded({**study_of(name), "target": {"name": "felt", "trace": "arousal"}})
        assert written["compare"][0]["alone"] == f"{name}_alone"
        assert written["stages"][f"{name}_alone"]["loss"]["hard"]["form"] == "ccc"
    assert expanded(study_of("visual_to_eeg"))["compare"][0]["alone"] == "alone"  # a class has one loss


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_writes_the_weight_of_every_loss(name: str, stages_of: Callable[..., dict[str, Any]]) -> None:
    for stage in stages_of(name).values():
        if len(stage.get("loss") or {}) < 2:
            continue  # nothing to weigh it against
        for loss, given in stage["loss"].items():
            own_factors = loss == "self_distil"  # of what it adds to the labels, in its options
            assert own_factors or isinstance(given, int | float) or "weight" in given, loss


def test_released_xkd_is_a_flag(stages_of: Callable[..., dict[str, Any]]) -> None:
    assert "as_released" not in stages_of("xkd")["xkd_pretext"]["loss"]["xkd"]
    assert stages_of("xkd", as_released=True)["xkd_pretext"]["loss"]["xkd"]["as_released"] is True


# ---- what single recipes make --------------------------------------------------------------------------------------


def test_a_chain_of_assistants_goes_down_to_the_student(stages_of: Callable[..., dict[str, Any]]) -> None:
    given = [{"model": "fusion_cnn", "inputs": ["eda", "temp"]}, {"model": "fusion_cnn", "inputs": ["eda"]}]
    stages = stages_of("takd", assistants=given)
    chain = {name: stage.get("taught_by") for name, stage in stages.items()}
    assert chain == {
        "teacher": None,
        "alone": None,
        "takd_assistant_1": "teacher",
        "takd_assistant_2": "takd_assistant_1",
        "takd": "takd_assistant_2",
    }
    dense = stages_of("dgkd", assistants=given)
    # The first assistant's only teacher is never left out.
    dropped = [
        dense[name]["loss"]["dense"].get("drop", 0.5) for name in ("dgkd_assistant_1", "dgkd_assistant_2", "dgkd")
    ]
    assert dropped == [0.0, 0.5, 0.5]
    assert dense["dgkd_assistant_2"]["taught_by"] == ["teacher", "dgkd_assistant_1"]
    assert dense["dgkd"]["taught_by"] == ["teacher", "dgkd_assistant_1", "dgkd_assistant_2"]


def test_an_assistant_is_the_student_with_the_rich_sensors_or_else_the_teacher_without(
    stages_of: Callable[..., dict[str, Any]],
) -> None:
    reads_all = stages_of("takd")["takd_assistant_1"]
    assert (reads_all["like"], reads_all["inputs"]) == ("alone", ["eda", "temp"])
    reads_one = stages_of("takd", student={"model": "student_nano", "inputs": ["eda"]})["takd_assistant_1"]
    assert (reads_one["like"], reads_one["inputs"]) == ("teacher", ["eda"])
    with pytest.raises(StudyError, match="say who stands between them"):
        stages_of(
            "takd",
            student={"model": "student_nano", "inputs": ["eda"]},
            teacher={"model": "sdt", "inputs": ["eda", "temp"]},
        )


def test_each_generation_is_taught_by_the_one_before(stages_of: Callable[..., dict[str, Any]]) -> None:
    stages = stages_of("born_again", generations=3)
    assert [stages[name]["taught_by"] for name in ("born_again_1", "born_again_2", "born_again")] == [
        "alone",
        "born_again_1",
        "born_again_2",
    ]
    assert all(stage.get("start") is None for stage in stages.values())


def test_each_cycle_of_a_snapshot_goes_on_from_its_teacher(stages_of: Callable[..., dict[str, Any]]) -> None:
    stages = stages_of("snapshot", cycles=2, epochs=3)
    taught, alone = stages["snapshot"], stages["snapshot_alone"]
    assert taught["start"] == taught["taught_by"] == alone["start"] == "snapshot_1"
    whole = {"schedule": "cosine", "patience": None, "select": "last", "epochs": 3}  # no cycle is cut short
    assert taught["training"] == alone["training"] == stages["snapshot_1"]["training"] == whole
    hasty = {"model": "tcn", "inputs": ["eda"], "training": {"patience": 1, "learning_rate": 0.1}}
    patient = stages_of("snapshot", student=hasty)["snapshot"]["training"]
    assert (patient["patience"], patient["learning_rate"]) == (None, 0.1)
    assert taught["loss"]["soft"]["student_temperature"] == 1.0


def test_what_learns_alone_beside_a_noisy_student_has_the_same_noise(stages_of: Callable[..., dict[str, Any]]) -> None:
    stages = stages_of("noisy_student", rounds=3)
    assert stages["noisy_student"]["augment"] == stages["noisy_student_alone"]["augment"] == "default"
    assert stages["noisy_student"]["taught_by"] == "noisy_student_2"
    assert stages["noisy_student"]["knowledge"] == {"confidence": 0.3, "balance": True}
    assert stages["noisy_student"]["loss"]["soft"]["on"] == "unlabelled"
    balanced = stages_of("noisy_student", share=0.5)["noisy_student"]["knowledge"]
    assert balanced == {"share": 0.5, "balance": True}
    everything = stages_of("noisy_student", confidence=None)["noisy_student"]
    assert "knowledge" not in everything
    assert "balanced" not in everything["loss"]["soft"]  # weighed by class, as nothing was balanced before


def test_rare_classes_weigh_half_for_a_noisy_student_however_rare(stages_of: Callable[..., dict[str, Any]]) -> None:
    arm = stages_of("noisy_student")["noisy_student"]
    decided = torch.tensor([0] * 80 + [1] * 20)
    said = torch.nn.functional.one_hot(decided, 2) * 4.0 - 2.0
    nothing = torch.zeros(100)
    given = arm["knowledge"]
    trust = confident(
        said.numpy(), labelled=nothing.numpy() > 0, threshold=given["confidence"], balance=given["balance"]
    )
    loss = LOSSES["soft"](**arm["loss"]["soft"])
    loss.join(Context("class", 2, {}, {}, {"teacher": {"logits": (2,)}}))
    own = torch.zeros(100, 2, requires_grad=True)
    batch = Batch(
        sights={},
        target=torch.zeros(100, dtype=torch.int64),
        labelled=nothing,
        class_weights=torch.tensor([0.625, 2.5]),  # of labels that are 80 to 20 as well
        logits=said,
        trust=torch.as_tensor(trust, dtype=torch.float32),
        teachers={},
        index=torch.arange(100),
        progress=torch.tensor(0.0),
        strength=torch.tensor(1.0),
    )
    value, _ = loss(Said({"plain": Outputs(own, {})}, {}, said, {"teacher": {"logits": said}}), batch)
    (gradient,) = torch.autograd.grad(value, own)
    pull = gradient[:, 0].abs()  # of each window; the teacher is as sure of one as of another
    assert float(pull[decided == 1].sum() / pull.sum()) == pytest.approx(0.5, abs=1e-5)


def test_what_learns_alone_beside_a_mean_teacher_is_an_average_that_sees_the_same_changes(
    stages_of: Callable[..., dict[str, Any]],
) -> None:
    stages = stages_of("mean_teacher", momentum=0.9)
    arm, alone = stages["mean_teacher"], stages["mean_teacher_alone"]
    assert set(alone["loss"]) == {"hard"}
    assert {key: value for key, value in arm.items() if key != "loss"} == {
        key: value for key, value in alone.items() if key != "loss"
    }
    assert alone["predict_with"] == "average"
    assert alone["partners"]["average"] == {"learns": "average", "momentum": 0.9}
    assert arm["loss"]["consistency"]["sight"] == "plain"  # the changed windows that its labels are learned from
    own = {"model": "tcn", "inputs": ["eda"], "augment": {"eda": ["jitter"]}}
    assert stages["mean_teacher"]["augment"] == "default"
    assert stages_of("mean_teacher", student=own)["mean_teacher_alone"]["augment"] == {"eda": ["jitter"]}


NETS = {
    "teacher": {"model": {"name": "pkdot_teacher", "width": 8, "frames": 8}, "inputs": ["eda", "temp"]},
    "student": {"model": {"name": "pkdot_student", "width": 8, "frames": 8}, "inputs": ["eda"]},
}


def test_a_sensor_that_is_made_up_is_learned_from_the_teacher_that_has_it(
    study_of: Callable[..., dict[str, Any]], stages_of: Callable[..., dict[str, Any]]
) -> None:
    hint = stages_of("pkdot", **NETS)["pkdot"]["loss"]["hint"]
    assert hint == {"weight": 1.0, "student": "pseudo", "teacher": "temp"}
    several = stages_of("mt_pkdot", **NETS)
    assert several["mt_pkdot"]["loss"]["hint"] == {**hint, "of": "teacher"}
    assert several["mt_pkdot_temp"]["loss"]["hint"]["teacher"] == "eda"
    assert several["mt_pkdot_eda"]["model"] == {"name": "pkdot_student", "width": 8, "frames": 8}
    for name in ("pkdot", "mt_pkdot"):  # nobody who lacks the sensor could say what it reads
        assert expanded(study_of(name, **NETS))["compare"][0]["controls"] == ["scrambled"]
        assert "hint" not in stages_of(name)[name]["loss"]  # other networks make nothing up
    without = {**NETS, "privileged": 0, "controls": ["own_input"]}
    assert "hint" not in stages_of("pkdot", **without)["pkdot"]["loss"]
    assert expanded(study_of("pkdot", **without))["compare"][0]["controls"] == ["own_input"]
    frozen = {**NETS, "student": {**NETS["student"], "model": {"name": "pkdot_student", "frozen": True}}}
    assert "hint" not in stages_of("pkdot", **frozen)["pkdot"]["loss"]


@pytest.mark.parametrize("name", ["pkdot", "mt_pkdot"])
def test_the_published_networks_of_pkdot_train_to_the_end(
    name: str, study_of: Callable[..., dict[str, Any]], run_of: Callable[[dict[str, Any]], pd.DataFrame]
) -> None:
    predictions = run_of(study_of(name, **NETS, anchors=4))
    assert {name, "alone", f"{name}/scrambled"} <= set(predictions["arm"])


def test_transfer_and_distillation_stand_in_both_orders(stages_of: Callable[..., dict[str, Any]]) -> None:
    first, second = stages_of("tlkd_method1"), stages_of("tlkd_method2")
    assert first["tlkd_method1_teacher"]["start"] == {"stage": "tlkd_method1_backbone", "reset": ["head"]}
    assert first["tlkd_method1"]["taught_by"] == "tlkd_method1_teacher"
    assert second["tlkd_method2_source_student"]["taught_by"] == "tlkd_method2_backbone"
    assert second["tlkd_method2"]["start"] == {"stage": "tlkd_method2_source_student", "reset": ["head"]}
    assert "taught_by" not in second["tlkd_method2"]
    targets = {name: stage["target"]["name"] for name, stage in (first | second).items() if "target" in stage}
    assert set(targets) == {"tlkd_method1_backbone", "tlkd_method2_backbone", "tlkd_method2_source_student"}


@pytest.mark.parametrize(
    ("targets", "losses"),
    [("hard", {"hard", "pseudo"}), ("soft", {"soft_ce"}), ("custom", {"hard", "soft"})],
)
def test_the_targets_of_the_fear_programmes(
    targets: str, losses: set[str], stages_of: Callable[..., dict[str, Any]]
) -> None:
    assert set(stages_of("tlkd_method1", targets=targets)["tlkd_method1"]["loss"]) == losses


def test_custom_targets_share_one_weight(stages_of: Callable[..., dict[str, Any]]) -> None:
    loss = stages_of("tlkd_method1", alpha=0.25)["tlkd_method1"]["loss"]
    assert loss["hard"] == 0.25
    assert loss["soft"]["weight"] == 0.75


def test_the_fear_programmes_need_a_source_and_say_so(study_of: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(study_of("tlkd_method1", source=None, targets="sharp", alpha=2))
    assert [mistake.partition(": ")[0] for mistake in caught.value.mistakes] == [
        "distil.source",
        "distil.targets",
        "distil.alpha",
    ]


def test_every_privileged_sensor_has_a_teacher_and_so_have_the_student_s_own(
    stages_of: Callable[..., dict[str, Any]],
) -> None:
    stages = stages_of("multi_teacher")
    assert stages["multi_teacher"]["taught_by"] == ["multi_teacher_temp", "multi_teacher_own"]
    assert stages["multi_teacher_temp"]["inputs"] == ["temp"]
    assert stages["multi_teacher_own"]["inputs"] == ["eda"]
    assert "teacher" not in stages  # nobody is taught by it
    with pytest.raises(StudyError, match="puts several together"):
        stages_of("multi_teacher", own=False)
    with pytest.raises(StudyError, match="no privileged sensor"):
        stages_of("multi_teacher", teacher={"model": "fusion_cnn", "inputs": ["eda"]})


def test_ways_of_several_teachers(stages_of: Callable[..., dict[str, Any]]) -> None:
    assert stages_of("multi_teacher", combine="confidence")["multi_teacher"]["knowledge"] == {"combine": "confidence"}
    gated = stages_of("multi_teacher", teaches="gated")["multi_teacher"]
    assert set(gated["loss"]) == {"hard", "gated"}
    assert "knowledge" not in gated
    alike = stages_of("multi_teacher", teaches="similarity")["multi_teacher"]["loss"]["sp"]
    assert (alike["student"], alike["teacher"]) == ("embedding", "fused")


def test_hints_may_come_first(stages_of: Callable[..., dict[str, Any]]) -> None:
    stages = stages_of("fitnets", two_stages=True)
    assert set(stages["fitnets_hint"]["loss"]) == {"hint"}
    assert stages["fitnets"]["start"] == "fitnets_hint"
    assert set(stages["fitnets"]["loss"]) == {"hard", "soft"}
    assert set(stages_of("fitnets")["fitnets"]["loss"]) == {"hard", "hint"}
    assert set(stages_of("fitnets", soft=0.5)["fitnets"]["loss"]) == {"hard", "hint", "soft"}


def test_contrast_is_within_the_batch_on_request(stages_of: Callable[..., dict[str, Any]]) -> None:
    assert set(stages_of("crd")["crd"]["loss"]) == {"hard", "crd"}
    assert set(stages_of("crd", in_batch=True)["crd"]["loss"]) == {"hard", "info_nce"}


def test_the_variants_of_zhang_and_lu_are_their_ablation(stages_of: Callable[..., dict[str, Any]]) -> None:
    whole, features, answers = (
        stages_of("zhang_lu", variant=v, regulated=True)["zhang_lu"] for v in ("v3", "v2", "v1")
    )
    assert whole["steps"]["feedback"]["regulated"] is True
    assert set(features["loss"]) == {"hard", "soft", "hint"}
    assert "steps" not in features
    assert set(answers["loss"]) == {"hard", "soft"}


def test_networks_of_one_layout_are_compared_along_time(stages_of: Callable[..., dict[str, Any]]) -> None:
    tokens = stages_of("at")["at"]["loss"]["at"]
    assert (tokens["student"], tokens["teacher"], tokens["form"]) == ("sequence", "sequence", "channel")
    maps = stages_of(
        "at",
        student={"model": "student_nano", "inputs": ["eda"]},
        teacher={"model": "pain_attn_net", "inputs": ["eda", "temp"]},
    )["at"]["loss"]["at"]
    assert (maps["student"], maps["teacher"]) == ("map", "encoder")
    assert "form" not in maps


def test_a_model_without_a_known_feature_is_refused_with_those_that_have_one(
    study_of: Callable[..., dict[str, Any]],
) -> None:
    with pytest.raises(StudyError, match=r"no feature of 'linear' .* name one by student_feature"):
        parse_study(study_of("sp", student={"model": "linear", "inputs": ["eda"]}))
    with pytest.raises(StudyError, match="'svm' is fitted in one go"):
        parse_study(study_of("sp", teacher={"model": "svm", "inputs": ["eda", "temp"]}))


def test_named_features_take_the_place_of_known_ones(stages_of: Callable[..., dict[str, Any]]) -> None:
    loss = stages_of("rkd", student_feature="sequence", teacher_feature="temp")["rkd"]["loss"]["rkd"]
    assert (loss["student"], loss["teacher"]) == ("sequence", "temp")


def test_emotionkd_matches_the_interaction_of_its_own_networks(stages_of: Callable[..., dict[str, Any]]) -> None:
    networks = {
        "teacher": {"model": "emotion_net_teacher", "inputs": ["eda", "temp"]},
        "student": {"model": "emotion_net_student", "inputs": ["eda"]},
    }
    own = stages_of("emotionkd", **networks)["emotionkd"]["loss"]["hint"]
    assert (own["student"], own["teacher"]) == ("imf", "imf")
    other = stages_of("emotionkd")["emotionkd"]["loss"]["hint"]
    assert (other["student"], other["teacher"]) == ("embedding", "fused")


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("born_again", "generations", 0),
        ("snapshot", "cycles", 1),
        ("noisy_student", "rounds", True),
        ("dml", "peers", 0),
        ("takd", "assistants", "fusion_cnn"),
        ("zhang_lu", "variant", "v4"),
        ("multi_teacher", "teaches", "both"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(
    name: str, option: str, value: Any, study_of: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(StudyError, match=rf"distil\.{option}: expected"):
        parse_study(study_of(name, **{option: value}))


# ---- features that are known before a network is built -------------------------------------------------------------

NETWORKS = [name for name in MODELS if class_of(name).family == "network"]


@pytest.mark.parametrize("name", NETWORKS)
def test_known_features_are_those_of_the_networks(name: str) -> None:
    model = class_of(name)
    shapes = dict(model.example) or {"eda": InputShape(12) if model.reads == "features" else InputShape(1, 240, 4.0)}
    with torch.device("meta"):
        features = dry_run(build(name, shapes, 2), shapes).features
    assert (name in SUMMARY_FEATURES) == (name not in ("linear", "hkd_mer")), "a new network needs its line"
    if name in SUMMARY_FEATURES:
        assert SUMMARY_FEATURES[name] in features
    for known in (MAP_FEATURES, TOKEN_FEATURES):
        if name in known:
            assert features[known[name]].ndim == 3
