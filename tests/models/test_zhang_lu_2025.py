"""Zhang and Lu's networks are EmotionNet with eye movements."""

from __future__ import annotations

import pytest
import torch
from cases.emotion_net import SMALL

from limbeck.errors import LimbeckError
from limbeck.models import MODELS, InputShape, build, dry_run
from limbeck.models.contract import class_of

VIEWS = {
    "teacher": {"eeg": InputShape(4, 56, 128.0), "eog": InputShape(2, 56, 128.0)},
    "student": {"eog": InputShape(2, 56, 128.0)},
}


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_the_network_is_that_of_emotion_net(role: str) -> None:
    built = []
    for name in (f"zhang_lu_{role}", f"emotion_net_{role}"):
        torch.manual_seed(5)
        built.append(build(name, VIEWS[role], 2, **SMALL).eval())
    inputs = {name: torch.randn(3, shape.channels, shape.length) for name, shape in VIEWS[role].items()}
    ours, theirs = (model(inputs) for model in built)

    assert torch.equal(ours.prediction, theirs.prediction)
    assert MODELS.options(f"zhang_lu_{role}") == MODELS.options(f"emotion_net_{role}")
    assert class_of(f"zhang_lu_{role}").paper != class_of(f"emotion_net_{role}").paper


def test_the_convolution_across_channels_spans_both_eye_channels() -> None:
    model = build("zhang_lu_student", VIEWS["student"], 2, **SMALL)

    assert model.streams["eog"].spatial.kernel_size == (2, 1)


def test_teacher_and_student_share_a_feature_of_one_width() -> None:
    shapes = {
        role: dry_run(build(f"zhang_lu_{role}", view, 2, **SMALL), view).features["imf"].shape
        for role, view in VIEWS.items()
    }

    assert shapes["teacher"] == shapes["student"] == (2, 4, 6)


def test_errors_name_the_model() -> None:
    with pytest.raises(
        LimbeckError, match="zhang_lu_teacher reads windows of 40 samples or more at 128 Hz; 'eog' has 20"
    ):
        build("zhang_lu_teacher", {**VIEWS["teacher"], "eog": InputShape(2, 20, 128.0)}, 2)
