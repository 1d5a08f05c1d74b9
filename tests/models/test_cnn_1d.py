"""The plain convolutional baseline."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters

EDA = {"eda": InputShape(1, 2816, 512.0)}


@pytest.mark.parametrize("as_released", [True, False])
def test_it_is_its_layer_table(as_released: bool) -> None:
    torch.manual_seed(0)
    model = build("cnn_1d", EDA, 2, hidden=24, as_released=as_released).eval()
    x = torch.randn(3, 1, 2816)
    state = model.state_dict()

    h = F.max_pool1d(F.conv1d(x, state["conv1.weight"], state["conv1.bias"], stride=2).clamp(min=0), 2)
    h = F.max_pool1d(F.conv1d(h, state["conv2.weight"], state["conv2.bias"]).clamp(min=0), 2)
    fc1 = h.reshape(3, 64 * 349) @ state["fc1.weight"].T + state["fc1.bias"]
    fc1 = fc1 if as_released else fc1.clamp(min=0)
    found = model({"eda": x})

    torch.testing.assert_close(found.features, {"conv2": h, "fc1": fc1}, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        found.prediction, fc1 @ state["head.weight"].T + state["head.bias"], rtol=1e-5, atol=1e-5
    )


def test_its_taps_have_the_published_shapes() -> None:
    features = build("cnn_1d", EDA, 2).eval()({"eda": torch.zeros(1, 1, 2816)}).features

    assert {name: tuple(value.shape[1:]) for name, value in features.items()} == {"conv2": (64, 349), "fc1": (512,)}


def test_as_released_the_linear_layers_are_one_linear_map_and_nothing_is_dropped() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 1, 60)
    shape = {"eda": InputShape(1, 60, 4.0)}

    released = build("cnn_1d", shape, 2, width=4, hidden=40, as_released=True).train()
    released.before_head.mask = torch.zeros(2, 40)
    mended = build("cnn_1d", shape, 2, width=4, hidden=40).train()
    mended.before_head.mask = torch.zeros(2, 40)

    assert (released({"eda": x}).features["fc1"] < 0).any()
    assert (mended({"eda": x}).features["fc1"] >= 0).all()
    assert not torch.equal(released({"eda": x}).prediction, released.head.bias.expand(2, 2))
    assert torch.equal(mended({"eda": x}).prediction, mended.head.bias.expand(2, 2))


def test_a_student_has_half_the_channels() -> None:
    student = build("cnn_1d", EDA, 2, width=16, hidden=64)

    assert count_parameters(student) == 96 + (16 * 5 * 32 + 32) + (32 * 349 * 64 + 64) + 65 * 2


def test_windows_of_27_samples_are_read_and_shorter_ones_refused() -> None:
    build("cnn_1d", {"eda": InputShape(1, 27, 4.0)}, 2, width=2, hidden=4)
    build("cnn_1d", {"eda": InputShape(1, 17, 4.0)}, 2, width=2, hidden=4, kernel=3)
    with pytest.raises(LimbeckError, match="windows of 27 samples or more; 'eda' has 26"):
        build("cnn_1d", {"eda": InputShape(1, 26, 4.0)}, 2, width=2, hidden=4)
