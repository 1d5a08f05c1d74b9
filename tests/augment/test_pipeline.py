"""Changes of a whole view: as a study writes them, drawn, applied, refused."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.augment import DEFAULTS, STRENGTHS, Augmentation, default_changes, stacked
from limbeck.augment.defaults import FEATURE_DEFAULTS
from limbeck.errors import StudyError
from limbeck.recording import MODALITIES

VIEW: dict[str, tuple[int, int, float | None]] = {"eeg": (4, 256, 64.0), "eda": (1, 16, 4.0), "ecg": (12, 0, None)}
BATCH = 16


def windows(*lead: int, view: Mapping[str, tuple[int, int, float | None]] = VIEW) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        name: torch.randn(*lead, channels, *((length,) if rate else ()), generator=generator)
        for name, (channels, length, rate) in view.items()
    }


def one(noise: Any) -> Any:
    return {key: one(value) for key, value in noise.items()} if isinstance(noise, dict) else torch.from_numpy(noise)


def run_one(chosen: Augmentation, inputs: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    batch = next(iter(inputs.values())).shape[0]
    return chosen.apply(inputs, one(chosen.noise(batch, np.random.default_rng(seed))))


def absent(x: Tensor) -> Tensor:
    return x.isnan().flatten(1).all(1)


# ---- defaults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", STRENGTHS)
def test_every_modality_has_changes_of_every_strength_that_run(strength: str) -> None:
    view = dict.fromkeys(MODALITIES, (3, 256, 64.0))
    chosen = Augmentation.parse(strength, view)
    assert set(chosen.steps) == set(MODALITIES)
    inputs = windows(BATCH, view=view)
    changed = run_one(chosen, inputs)
    assert all((changed[name] != inputs[name]).any() and changed[name].isfinite().all() for name in MODALITIES)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_what_has_to_stay_in_time_is_not_moved_by_a_strength(strength: str) -> None:
    view = dict.fromkeys(MODALITIES, (3, 256, 64.0))
    free, held = Augmentation.parse(strength, view), Augmentation.parse(strength, view, in_time=True)
    moving = {"crop_resize", "time_warp", "permutation", "flip", "shift"}
    for modality in MODALITIES:
        names = [key.partition(".")[2] for key in free.steps[modality]]
        left = [key.partition(".")[2] for key in held.steps[modality]]
        assert left == [name for name in names if name not in moving]


def test_what_moves_time_is_refused_where_it_is_written_and_time_has_to_stay() -> None:
    spec = {"eda": ["crop_resize", "time_warp", "permutation", "flip", {"shift": 0.5}, "jitter", "time_mask"]}
    view = {"eda": (1, 256, 64.0)}
    assert len(Augmentation.parse(spec, view).steps["eda"]) == 7
    with pytest.raises(StudyError) as caught:
        Augmentation.parse(spec, view, in_time=True)
    assert len(caught.value.mistakes) == 5
    for place, mistake in enumerate(caught.value.mistakes):
        assert mistake.startswith(f"augment.eda[{place}]: ")
        told, _, instead = mistake.partition("Use one of: ")
        assert "moves the signal in time" in told
        assert "jitter" in instead
        assert not {"permutation", "flip", "shift"} & set(instead.rstrip(".").split(", "))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_features_get_changes_of_features(strength: str) -> None:
    view = dict.fromkeys(MODALITIES, (9, 0, None))
    names = {key for steps in Augmentation.parse(strength, view).steps.values() for key in steps}
    assert {key.partition(".")[2] for key in names} <= {"feature_jitter", "feature_mask"}
    assert set(FEATURE_DEFAULTS) == set(STRENGTHS)


def test_what_has_a_level_or_a_sign_is_not_cut_up_or_turned() -> None:
    def names(modality: str) -> set[str]:
        return {
            step if isinstance(step, str) else next(iter(step))
            for strength in STRENGTHS
            for step in default_changes(modality, False, strength)
        }

    assert all(names(modality).isdisjoint({"permutation", "negate", "flip"}) for modality in ("eda", "temp"))
    assert all(names(modality).isdisjoint({"negate", "flip", "crop_resize"}) for modality in ("ecg", "bvp"))


def test_strong_changes_more_than_default_and_default_more_than_weak() -> None:
    for modality in MODALITIES:
        view = {modality: (3, 256, 64.0)}
        walk = torch.randn(200, 3, 256, generator=torch.Generator().manual_seed(0)).cumsum(-1)
        inputs = {modality: (walk - walk.mean()) / walk.std()}
        moved = {
            strength: (run_one(Augmentation.parse(strength, view), inputs)[modality] - inputs[modality]).square().mean()
            for strength in STRENGTHS
        }
        assert moved["weak"] < moved["default"] < moved["strong"], modality


def test_what_a_default_asks_too_much_of_is_left_out() -> None:
    chosen = Augmentation.parse("default", {"eeg": (1, 256, 64.0), "eda": (1, 0, None)})
    assert list(chosen.steps["eeg"]) == ["0.jitter", "1.scale", "2.time_mask"]
    assert list(chosen.steps["eda"]) == ["0.feature_jitter"]


def test_changing_the_returned_defaults_changes_no_defaults() -> None:
    default_changes("eeg", False)[0]["jitter"] = 9
    assert DEFAULTS["eeg"][0] == {"jitter": 0.05}


# ---- grammar ---------------------------------------------------------------------------------------------------------


def test_arguments_come_bare_as_a_list_or_by_name() -> None:
    spec = {
        "eeg": [
            {"jitter": 0.1},
            {"scale": [0.5, 1.5]},
            {"scale": {"low": 0.9, "high": 1.1, "per_channel": False}},
            "flip",
            {"negate": {"probability": 0.2}},
            {"shift": None},
        ],
        "ecg": "weak",
        "eda": [],
    }
    chosen = Augmentation.parse(spec, VIEW)
    assert list(chosen.steps["eeg"]) == ["0.jitter", "1.scale", "2.scale", "3.flip", "4.negate", "5.shift"]
    written = chosen.resolved()
    assert written["eeg"][0] == {"jitter": {"probability": 1.0, "sigma": 0.1}}
    assert written["eeg"][1]["scale"]["low"] == 0.5
    assert written["eeg"][2]["scale"]["per_channel"] is False
    assert written["eeg"][4] == {"negate": {"probability": 0.2}}


@pytest.mark.parametrize(
    "spec", ["default", "strong", {"eeg": "default", "drop": {"eeg": 0.3}}, {"eeg": [{"band_stop": {"low": 4.0}}]}]
)
def test_what_is_written_out_in_full_means_the_same(spec: Any) -> None:
    chosen = Augmentation.parse(spec, VIEW)
    again = Augmentation.parse(chosen.resolved(), VIEW)
    assert again == chosen
    inputs = windows(BATCH)
    for name, x in run_one(chosen, inputs).items():
        assert torch.equal(x.nan_to_num(99), run_one(again, inputs)[name].nan_to_num(99))


def test_every_mistake_is_named_with_its_place_and_the_nearest_name() -> None:
    spec = {
        "eeg": [{"jiter": 0.1}, {"scale": {"lo": 1}}, {"jitter": -1}, {"jitter": [1, 2]}, {"feature_mask": 0.1}, 3],
        "egg": [],
        "eda": [{"channel_drop": 0.1}, {"a": 1, "b": 2}],
        "ecg": ["jitter"],
        "drop": {"eg": 0.5, "eda": 1.5},
    }
    with pytest.raises(StudyError) as caught:
        Augmentation.parse(spec, VIEW, source="stages.student.augment")
    expected = [
        "stages.student.augment.eeg[0]: There is no change 'jiter'. Did you mean 'jitter'?",
        "stages.student.augment.eeg[1]: The change 'scale' has no option 'lo'. Did you mean 'low'?",
        "stages.student.augment.eeg[2]: jitter: sigma is -1; expected a number above 0",
        "stages.student.augment.eeg[3]: jitter takes 1 arguments without their names",
        "stages.student.augment.eeg[4]: feature_mask changes features, and these windows are signals. Use one of: b",
        "stages.student.augment.eeg[5]: expected a name or a mapping",
        "stages.student.augment: the view has no modality 'egg'. Did you mean 'eeg'?",
        "stages.student.augment.eda[0]: channel_drop needs 2 channels or more, and there is 1",
        "stages.student.augment.eda[1]: expected a name or a mapping",
        "stages.student.augment.ecg[0]: jitter changes signals, and these windows are features. Use one of: feature_j",
        "stages.student.augment.drop: the view has no modality 'eg'. Did you mean 'eeg'?",
        "stages.student.augment.drop.eda is 1.5; expected a probability from 0 to 1",
    ]
    assert len(caught.value.mistakes) == len(expected)
    for mistake, start in zip(caught.value.mistakes, expected, strict=True):
        assert mistake.startswith(start)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("defualt", "Did you mean 'default'?"),
        ({}, "expected default, weak, strong, or a mapping"),
        (None, "found None"),
        ({"eeg": "storng"}, "Did you mean 'strong'?"),
        ({"eeg": {"jitter": 0.1}}, "expected a list of changes"),
        ({"drop": 0.5}, "expected a mapping from modality to a probability"),
        ({"drop": {"eeg": True}}, "drop.eeg is True"),
    ],
)
def test_a_wrong_form_is_refused(spec: Any, said: str) -> None:
    with pytest.raises(StudyError, match="1 mistake") as caught:
        Augmentation.parse(spec, VIEW)
    assert said in str(caught.value)


def test_the_only_modality_cannot_be_dropped() -> None:
    with pytest.raises(StudyError, match="no modality to spare"):
        Augmentation.parse({"drop": {"eeg": 0.5}}, {"eeg": (4, 256, 64.0)})


# ---- running ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["default", "strong", {"eeg": "strong", "eda": "weak", "drop": {"eeg": 0.5, "ecg": 0.5}}]
)
def test_companions_do_not_matter_to_a_network(spec: Any) -> None:
    networks = 4
    chosen = Augmentation.parse(spec, VIEW)
    inputs = windows(networks, BATCH)
    noises = [chosen.noise(BATCH, np.random.default_rng([5, f])) for f in range(networks)]
    together = chosen.apply(inputs, stacked(noises))
    mapped = torch.func.vmap(chosen.apply)(inputs, stacked(noises))
    for f in range(networks):
        alone = chosen.apply({name: x[f] for name, x in inputs.items()}, one(noises[f]))
        for name in VIEW:
            assert torch.equal(together[name][f].nan_to_num(99), alone[name].nan_to_num(99))
            assert torch.equal(mapped[name][f].nan_to_num(99), alone[name].nan_to_num(99))


def test_windows_given_and_modalities_not_named_stay_as_they_are() -> None:
    inputs = windows(BATCH)
    before = {name: x.clone() for name, x in inputs.items()}
    changed = run_one(Augmentation.parse({"eeg": "strong", "drop": {"eeg": 0.5}}, VIEW), inputs)
    assert all(torch.equal(inputs[name], before[name]) for name in VIEW)
    assert torch.equal(changed["eda"], inputs["eda"])
    assert torch.equal(changed["ecg"], inputs["ecg"])
    assert not torch.equal(changed["eeg"], inputs["eeg"])


def test_a_modality_is_dropped_whole_as_often_as_asked() -> None:
    changed = run_one(Augmentation.parse({"drop": {"eeg": 0.3, "ecg": 0.6}}, VIEW), windows(2000))
    assert absent(changed["eeg"]).float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert absent(changed["ecg"]).float().mean().item() == pytest.approx(0.6, abs=0.04)
    assert not absent(changed["eda"]).any()
    assert torch.equal(absent(changed["eeg"]), changed["eeg"].isnan().flatten(1).any(1))


def test_one_modality_always_stays_and_any_may_be_it() -> None:
    changed = run_one(Augmentation.parse({"drop": {"eeg": 0.9, "ecg": 0.9, "eda": 1.0}}, VIEW), windows(2000))
    gone = torch.stack([absent(changed[name]) for name in VIEW])
    assert not gone.all(0).any()
    only_left = [(~gone[m] & (gone.sum(0) == 2)).sum().item() for m in range(3)]
    assert min(only_left) > 300


def test_nothing_is_dropped_where_what_would_be_left_is_absent() -> None:
    inputs = windows(500)
    inputs["eda"][:250] = torch.nan
    inputs["ecg"][:250] = torch.nan
    changed = run_one(Augmentation.parse({"drop": {"eeg": 0.5}}, VIEW), inputs)
    assert not absent(changed["eeg"])[:250].any()
    assert absent(changed["eeg"])[250:].float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert absent(changed["eda"])[:250].all()


def test_thirty_two_networks_cost_little() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        chosen = Augmentation.parse("default", {"eeg": (4, 512, 128.0)})
        inputs = {"eeg": torch.randn(32, 64, 4, 512)}
        noise = stacked([chosen.noise(64, np.random.default_rng(f)) for f in range(32)])
        took = []
        for _ in range(5):
            start = time.perf_counter()
            chosen.apply(inputs, noise)
            took.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    assert min(took) < 0.06
