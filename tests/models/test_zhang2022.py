"""The networks that follow an emotion step by step, against an independent reading of their layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from cases.zhang2022 import BAND_POWER, FILM, POWER, SMALL
from learning import gradients_of, labelled_batch, learners, members_of
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_multiply_adds, count_parameters
from limbeck.models.heads import with_new_head

Draw = Callable[..., dict[str, Tensor]]
State = Mapping[str, np.ndarray]


def at_random(name: str, modalities: Mapping[str, InputShape], n_outputs: int = 1, **options: Any) -> nn.Module:
    """Build a network whose weights are all away from their first values."""
    torch.manual_seed(3)
    model = build(name, modalities, n_outputs, **options)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
    return model


# ---- the temporal convolutions, in NumPy and float64 -----------------------------------------------------------------


def convolved(p: State, path: str, x: np.ndarray, dilation: int) -> np.ndarray:
    """Sum over taps, the last of which meets the step itself: (batch, channels, steps)."""
    weight = p[f"{path}.weight"]
    if f"{path}.gain" in p:
        lengths = np.sqrt((weight**2).sum(axis=(1, 2), keepdims=True))
        weight = weight / lengths * p[f"{path}.gain"]
    taps, steps = weight.shape[2], x.shape[2]
    out = np.zeros((x.shape[0], weight.shape[0], steps)) + p[f"{path}.bias"][:, None]
    for tap in range(taps):
        back = (taps - 1 - tap) * dilation
        for step in range(back, steps):
            out[:, :, step] += x[:, :, step - back] @ weight[:, :, tap].T
    return out


def prelu(p: State, path: str, x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, x * p[f"{path}.weight"])


def reference(p: State, x: np.ndarray, depth: int) -> np.ndarray:
    for place in range(depth):
        path = f"temporal.blocks.{place}"
        h = prelu(p, f"{path}.after_conv1", convolved(p, f"{path}.conv1", x, 2**place))
        h = prelu(p, f"{path}.after_conv2", convolved(p, f"{path}.conv2", h, 2**place))
        if f"{path}.shortcut.weight" in p:
            x = np.einsum("fc,bct->bft", p[f"{path}.shortcut.weight"][:, :, 0], x) + p[f"{path}.shortcut.bias"][:, None]
        x = prelu(p, f"{path}.after_sum", x + h)
    return x.transpose(0, 2, 1)


@pytest.mark.parametrize("as_released", [False, True])
@pytest.mark.parametrize(("channels", "depth", "kernel"), [(5, 2, 3), (6, 3, 2)])
def test_the_student_computes_its_layers(
    channels: int, depth: int, kernel: int, as_released: bool, random_inputs: Draw
) -> None:
    shape = {"eeg": InputShape(channels, 20, 4.0)}
    options = {"width": 6, "depth": depth, "kernel": kernel, "as_released": as_released}
    model = at_random("zhang2022_student", shape, 2, n_steps=20, **options).eval()
    inputs = random_inputs(shape, 3)
    p = {key: value.double().numpy() for key, value in model.state_dict().items()}

    outputs = model(inputs)

    sequence = reference(p, inputs["eeg"].double().numpy(), depth)
    np.testing.assert_allclose(outputs.features["sequence"].detach().numpy(), sequence, rtol=1e-5, atol=1e-5)
    expected = sequence @ p["head.weight"].T + p["head.bias"]
    np.testing.assert_allclose(outputs.prediction.detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_the_published_width_computes_its_layers_too(random_inputs: Draw) -> None:
    model = build("zhang2022_student", BAND_POWER, 1, n_steps=96, as_released=True).eval()
    inputs = random_inputs(BAND_POWER, 1)
    p = {key: value.double().numpy() for key, value in model.state_dict().items()}

    found = model(inputs)

    assert found.prediction.shape == (1, 96, 1)
    assert found.features["sequence"].shape == (1, 96, 128)
    expected = reference(p, inputs["eeg"].double().numpy(), 2)
    np.testing.assert_allclose(found.features["sequence"].detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    # published are 24.2 million, 0.6 of them for steps behind the window's end that are cut off again
    assert count_multiply_adds(model, BAND_POWER) == 96 * (192 * 128 * 3 + 3 * 128 * 128 * 3 + 192 * 128 + 128)


@pytest.mark.parametrize(("depth", "kernel", "field"), [(2, 3, 13), (1, 3, 5), (3, 3, 29), (2, 5, 25)])
def test_a_step_sees_itself_and_twelve_before(depth: int, kernel: int, field: int) -> None:
    steps, at = 2 * field + 3, 2
    shape = {"eeg": InputShape(3, steps, 4.0)}
    model = at_random("zhang2022_student", shape, n_steps=steps, width=4, depth=depth, kernel=kernel).eval().double()
    assert model.temporal.field == field
    x = torch.randn(1, 3, steps, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = x.clone()
    moved[:, :, at] += 5.0

    change = (model({"eeg": moved}).prediction - model({"eeg": x}).prediction).abs()[0, :, 0]

    assert torch.nonzero(change).flatten().tolist() == list(range(at, at + field))


def test_first_weights_are_drawn_as_meant_and_in_the_released_form_as_released() -> None:
    torch.manual_seed(0)
    meant = build("zhang2022_student", BAND_POWER, 1)
    released = build("zhang2022_student", BAND_POWER, 1, as_released=True)
    for block in meant.temporal.blocks:
        for conv in (block.conv1, block.conv2):
            assert conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
    first = released.temporal.blocks[0].conv1
    assert first.weight.std().item() == pytest.approx(0.0241, abs=0.0003)
    used = first.weight * first.gain / first.weight.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(used, first.weight)
    for model in (meant, released):
        assert model.temporal.blocks[0].shortcut.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert model.temporal.blocks[1].shortcut is None


def test_the_released_convolution_is_that_of_torch(random_inputs: Draw) -> None:
    shape = {"eeg": InputShape(5, 12, 4.0)}
    ours = at_random("zhang2022_student", shape, width=6, depth=1, as_released=True).temporal.blocks[0].conv1
    plain = nn.utils.parametrizations.weight_norm(nn.Conv1d(5, 6, 3))
    with torch.no_grad():
        plain.parametrizations.weight.original0.copy_(ours.gain)
        plain.parametrizations.weight.original1.copy_(ours.weight)
        plain.bias.copy_(ours.bias)
    x = random_inputs(shape, 2)["eeg"]
    torch.testing.assert_close(ours(x), plain(nn.functional.pad(x, (2, 0))))


# ---- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zhang2022_student", "zhang2022_lstm", "zhang2022_teacher"])
def test_other_numbers_of_steps_are_averages_of_the_parts_of_a_window(name: str, random_inputs: Draw) -> None:
    shape = {"video": InputShape(64, 12, 4.0)} if name == "zhang2022_teacher" else {"eeg": InputShape(4, 12, 4.0)}
    options = {"zhang2022_student": {"width": 6}, "zhang2022_lstm": {"hidden": 3}, "zhang2022_teacher": SMALL}[name]
    models = {steps: at_random(name, shape, n_steps=steps, **options).eval() for steps in (0, 3, 12, 24)}
    inputs = random_inputs(shape, 2)
    found = {steps: model(inputs).prediction for steps, model in models.items()}

    for key, value in models[12].state_dict().items():
        assert torch.equal(value, models[3].state_dict()[key])
    torch.testing.assert_close(found[0], found[12].mean(dim=1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[3], found[12].unflatten(1, (3, 4)).mean(dim=2), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[24], found[12].repeat_interleave(2, dim=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["zhang2022_student", "zhang2022_teacher"])
def test_no_step_sees_what_comes_later(name: str, random_inputs: Draw) -> None:
    shape = FILM if name == "zhang2022_teacher" else POWER
    model = at_random(name, shape, n_steps=5, **(SMALL if name == "zhang2022_teacher" else {"width": 6})).eval()
    (modality,) = shape
    inputs = random_inputs(shape, 2)
    later = {modality: inputs[modality].clone()}
    later[modality][:, :, 3:] += 4.0
    torch.testing.assert_close(model(inputs).prediction[:, :3], model(later).prediction[:, :3])
    assert not torch.allclose(model(inputs).prediction[:, 3:], model(later).prediction[:, 3:])


def test_the_baseline_is_two_layers_in_both_directions(random_inputs: Draw) -> None:
    model = at_random("zhang2022_lstm", POWER, 2, n_steps=5, hidden=3).eval()
    plain = nn.LSTM(4, 3, num_layers=2, batch_first=True, bidirectional=True)
    layers = [layer.state_dict() for layer in model.layers]
    plain.load_state_dict({k.replace("_l0", f"_l{i}"): v for i, layer in enumerate(layers) for k, v in layer.items()})
    inputs = random_inputs(POWER, 3)

    sequence, _ = plain(inputs["eeg"].transpose(1, 2))

    outputs = model(inputs)
    torch.testing.assert_close(outputs.features["sequence"], sequence)
    torch.testing.assert_close(outputs.prediction, model.head(sequence))


# ---- the teacher -----------------------------------------------------------------------------------------------------


def test_pixels_of_a_window_become_frames_in_their_order() -> None:
    shape = {"video": InputShape(3 * 9 * 8, 5, 4.0)}
    model = at_random("zhang2022_teacher", shape, frame=(9, 8), **SMALL).eval()
    film = torch.randn(2, 5, 3, 9, 8, generator=torch.Generator().manual_seed(1))
    window = film.permute(0, 2, 3, 4, 1).reshape(2, 3 * 9 * 8, 5)

    found = model({"video": window}).features["frames"]

    for batch, step in ((0, 0), (1, 4)):
        torch.testing.assert_close(found[batch, step], model.backbone(film[batch, step][None])[0])
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(2, 5))


def test_the_teacher_is_released_in_groups() -> None:
    with torch.device("meta"):
        model = build("zhang2022_teacher", {"video": InputShape(4800, 96, 4.0)}, 1, as_released=True)
    sizes = {name: value.numel() for name, value in model.named_parameters()}
    found = {group: sum(sizes[name] for name in names) for group, names in model.stages().items()}
    assert found == {
        "temporal": 410_887,
        "output": 6_556_160,
        "stage4": 13_115_392,
        "stage3_end": 3_542_784,
        "rest": 37_283_520 - 6_556_160 - 13_115_392 - 3_542_784,
    }


@pytest.mark.parametrize("backend", ["stacked", "looped"])
@pytest.mark.parametrize("released", [0, 1, 2, 3, None])
def test_no_gradient_reaches_what_is_held(released: int | None, backend: str, random_inputs: Draw) -> None:
    def make() -> nn.Module:
        return build("zhang2022_teacher", FILM, 1, released=released, **SMALL)

    groups = build("zhang2022_teacher", FILM, 1, **SMALL).stages()
    learning = {name for names in list(groups.values())[: None if released is None else 1 + released] for name in names}
    ensemble = learners(make, FILM, members_of(2, 4), 1, backend)
    before = {name: value.clone() for name, value in ensemble.buffers.items()}
    inputs = {"video": torch.stack([random_inputs(FILM, 4, seed=f)["video"] for f in range(2)])}
    batch = labelled_batch(inputs, torch.randn(2, 4), 1)

    gradient, _, _ = gradients_of(ensemble, batch, step=1)

    moved = {n for n, g in ensemble.parameters_of(gradient).items() if g.any()}
    moved = {name.split(".", 1)[1] for name in moved}
    assert moved <= learning
    assert {name for name in learning if "conv" in name or name.startswith("head")} <= moved
    statistics = {
        n.split(".", 1)[1] for n, b in ensemble.buffers.items() if n.endswith("_mean") and not b.equal(before[n])
    }
    parts = {name.rpartition(".")[0] for name in learning}
    assert {name.rpartition(".")[0] for name in statistics} <= parts
    assert bool(statistics) == (released != 0)


def test_in_the_released_form_held_parts_normalise_by_the_batch(random_inputs: Draw) -> None:
    inputs = random_inputs(FILM, 2)
    for as_released in (False, True):
        model = at_random("zhang2022_teacher", FILM, released=0, as_released=as_released, **SMALL).train()
        before = model.backbone.body.stem[1].running_mean.clone()
        model(inputs)
        assert torch.equal(before, model.backbone.body.stem[1].running_mean) is not as_released
        assert model.backbone.body.stem[1].training is as_released


def test_held_parts_stay_asleep_through_changes_of_mode(random_inputs: Draw) -> None:
    model = at_random("zhang2022_teacher", FILM, released=1, **SMALL)
    for mode in (False, True):
        model.train(mode)
        assert model.temporal.training is mode
        assert model.backbone.output.dropout.training is mode
        assert not model.backbone.body.training
    changed = with_new_head(model, 3).train()
    assert not changed.backbone.body.training
    assert changed(random_inputs(FILM, 2)).prediction.shape == (2, 3)


def test_dropout_of_the_backbone_is_drawn_for_every_frame(random_inputs: Draw) -> None:
    ensemble = learners(lambda: build("zhang2022_teacher", FILM, 1, **SMALL), FILM, members_of(2, 4), 1)
    inputs = {"video": torch.stack([random_inputs(FILM, 4)["video"]] * 2)}
    batch = labelled_batch(inputs, torch.randn(2, 4), 1)
    gradients_of(ensemble, batch, step=1)
    shapes = {name: tuple(shape) for name, shape in ensemble._mask_shapes.items()}
    (frames,) = (shape for name, shape in shapes.items() if "backbone" in name)
    assert frames == (20, 16, 1, 1)


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_windows_too_short_are_refused() -> None:
    def eeg(length: int) -> dict[str, InputShape]:
        return {"eeg": InputShape(4, length, 4.0)}

    with pytest.raises(LimbeckError, match=r"windows of 5 samples or more.*'eeg' has 4"):
        build("zhang2022_student", eeg(4), 1)
    with pytest.raises(LimbeckError, match="windows of 9 samples or more"):
        build("zhang2022_student", eeg(8), 1, depth=3)
    with pytest.raises(LimbeckError, match="windows of 2 samples or more; 'eeg' has 1"):
        build("zhang2022_lstm", eeg(1), 1)
    with pytest.raises(LimbeckError, match="windows of 5 samples or more"):
        build("zhang2022_teacher", {"video": InputShape(64, 4, 4.0)}, 1, **SMALL)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(LimbeckError, match="expected a block or more, of 2 steps or more"):
        build("zhang2022_student", BAND_POWER, 1, kernel=1)
    for name in ("zhang2022_student", "zhang2022_lstm"):
        with pytest.raises(LimbeckError, match=f"{name}: depth is 0; expected at least 1"):
            build(name, BAND_POWER, 1, depth=0)
    with pytest.raises(LimbeckError, match="zhang2022_teacher: chunk is -1; expected at least 0"):
        build("zhang2022_teacher", FILM, 1, **{**SMALL, "chunk": -1})
    with pytest.raises(LimbeckError, match="released is 5; expected 0 to 4"):
        build("zhang2022_teacher", FILM, 1, released=5, **SMALL)
    with pytest.raises(LimbeckError, match="no square frames"):
        build("zhang2022_teacher", {"video": InputShape(191, 5, 4.0)}, 1)
    with pytest.raises(LimbeckError, match=r"limbeck\[vision\]"):
        build("zhang2022_teacher", FILM, 1, backbone="no_such_network")


def test_the_mended_teacher_differs_by_the_lengths_of_its_filters() -> None:
    assert (
        count_parameters(build("zhang2022_teacher", FILM, 1, as_released=True, **SMALL))
        - count_parameters(build("zhang2022_teacher", FILM, 1, **SMALL))
        == 4 * 6
    )
