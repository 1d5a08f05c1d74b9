"""The tiny students: how large they are, what a causal one sees, and that they run on a wearable's budget."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from cases.students import BVP, EDA, EEG, SIZES
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_multiply_adds, count_parameters
from limbeck.models.students import CommonSteps, Front, Pooling, frame_times, segments

VIEWS = {"eda": EDA, "bvp": BVP, "eeg": EEG}
MULTIPLY_ADDS = {
    "student_nano": (61_024, 118_624, 141_408),
    "student_tiny": (248_288, 363_488, 413_776),
    "student_small": (926_656, 1_157_056, 1_274_016),
    "student_base": (3_826_112, 4_286_912, 4_586_368),
}
"""Of one window of each view, as the documentation of each size states them."""

every_size = pytest.mark.parametrize("name", sorted(SIZES))


class Bare(nn.Module):
    """The logits of one signal: what an exported file computes."""

    def __init__(self, student: nn.Module, modality: str) -> None:
        super().__init__()
        self.student, self.modality = student, modality

    def forward(self, x: Tensor) -> Tensor:
        return self.student({self.modality: x}).prediction


@every_size
@pytest.mark.parametrize(("place", "modality"), list(enumerate(VIEWS)))
def test_each_size_costs_what_its_documentation_says(name: str, place: int, modality: str) -> None:
    model = build(name, VIEWS[modality], 2)

    assert count_multiply_adds(model, VIEWS[modality]) == MULTIPLY_ADDS[name][place]
    stated = " ".join((type(model).__doc__ or "").split())
    assert f"{count_parameters(model):,} parameters" in stated
    assert f"{count_parameters(model) / 1000:.1f} kB" in stated
    assert f"{4 * count_parameters(model) / 1000:.1f} kB" in stated
    assert f"{MULTIPLY_ADDS[name][place] / 1e6:.2f} million" in stated


@every_size
@pytest.mark.parametrize("modality", VIEWS)
def test_an_exported_student_answers_alike_within_a_millisecond(name: str, modality: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="export needs the package onnx")
    runtime = pytest.importorskip("onnxruntime", reason="the exported file is run by onnxruntime")
    torch.manual_seed(0)
    shape = VIEWS[modality][modality]
    model = Bare(build(name, VIEWS[modality], 2).eval(), modality)
    x = torch.randn(1, shape.channels, shape.length)
    file = str(tmp_path / "student.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), file, dynamo=False, input_names=["x"])
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    (exported,) = session.run(None, {"x": x.numpy()})
    spent = []
    for _ in range(50):
        start = time.perf_counter()
        session.run(None, {"x": x.numpy()})
        spent.append(time.perf_counter() - start)

    np.testing.assert_allclose(exported, model(x).detach().numpy(), rtol=1e-5, atol=1e-5)
    assert min(spent) < 1e-3, "the least of many, as others may be at work on this machine"


@pytest.mark.parametrize("modality", VIEWS)
@pytest.mark.parametrize("n_steps", [0, 5])
def test_a_causal_student_does_not_see_the_future(modality: str, n_steps: int) -> None:
    torch.manual_seed(0)
    shape = VIEWS[modality][modality]
    x = torch.randn(2, shape.channels, shape.length)
    cut = shape.length * 3 // 5
    changed = torch.cat([x[..., :cut], torch.randn(2, shape.channels, shape.length - cut)], dim=-1)
    for causal in (True, False):
        model = build("student_tiny", VIEWS[modality], 2, n_steps=n_steps, causal=causal).eval()
        before, after = (model({modality: value}) for value in (x, changed))
        frames = before.features["map"].shape[-1]
        passed = int(frames * cut / shape.length) - 1
        same = torch.equal(before.features["map"][..., :passed], after.features["map"][..., :passed])
        assert same is causal
        assert not torch.equal(before.prediction, after.prediction)
        if n_steps:
            assert torch.allclose(before.prediction[:, :3], after.prediction[:, :3], atol=1e-6) is causal
            assert not torch.allclose(before.prediction[:, 3:], after.prediction[:, 3:], atol=1e-6)


def test_a_causal_student_says_in_the_middle_what_it_says_of_the_first_half_alone() -> None:
    torch.manual_seed(0)
    whole = build("student_small", EDA, 2, n_steps=4, causal=True).eval()
    half = build("student_small", {"eda": InputShape(1, 120, 4.0)}, 2, n_steps=2, causal=True, frames=60).eval()
    half.load_state_dict(whole.state_dict())
    x = torch.randn(3, 1, 240)

    torch.testing.assert_close(whole({"eda": x}).prediction[:, :2], half({"eda": x[..., :120]}).prediction)


def test_standardising_takes_level_and_spread_away_and_hands_them_to_the_head() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2, 1250)
    plain = build("student_tiny", EEG, 2).eval()
    model = build("student_tiny", EEG, 2, standardise=True).eval()

    first, second = (model({"eeg": value}).features["embedding"] for value in (x, 5.0 * x - 20.0))

    torch.testing.assert_close(first[:, :64], second[:, :64], rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(second[:, 64:66], 5.0 * x.mean(dim=-1) - 20.0)
    torch.testing.assert_close(second[:, 66:], (5.0 * x.std(dim=-1, correction=0)).log(), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(plain({"eeg": x}).prediction, plain({"eeg": 5.0 * x}).prediction, atol=1e-2)
    stepwise = build("student_tiny", EEG, 2, standardise=True, n_steps=5)
    assert stepwise({"eeg": x}).features["embedding"].shape == (3, 5, 6 * 16 + 4)
    with pytest.raises(LimbeckError, match="standardise needs the whole window"):
        build("student_tiny", EEG, 2, standardise=True, causal=True)


@every_size
def test_what_a_student_cannot_read_or_be_is_refused(name: str) -> None:
    assert build(name, {"eda": InputShape(1, 8, 4.0)}, 2)({"eda": torch.zeros(1, 1, 8)}).prediction.shape == (1, 2)
    with pytest.raises(LimbeckError, match="at least 8 samples, and 'eda' has 7"):
        build(name, {"eda": InputShape(1, 7, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="kernel is 1; expected at least 2"):
        build(name, EDA, 2, kernel=1)
    with pytest.raises(LimbeckError, match="frames is 0; expected at least 1"):
        build(name, EDA, 2, frames=0)
    with pytest.raises(LimbeckError, match="at most 1 modality"):
        build(name, {**EDA, **BVP}, 2)


@pytest.mark.parametrize("length", [8, 9, 31, 121, 241, 1001])
@pytest.mark.parametrize("kernel", [2, 6, 7])
@pytest.mark.parametrize("n_steps", [0, 8])
def test_windows_and_filters_of_any_length_are_read(length: int, kernel: int, n_steps: int) -> None:
    shape = {"eda": InputShape(1, length, 4.0)}
    for causal in (True, False):
        model = build("student_tiny", shape, 2, n_steps=n_steps, kernel=kernel, causal=causal)
        assert model({"eda": torch.zeros(2, 1, length)}).prediction.isfinite().all()


def test_the_front_brings_any_rate_down_to_about_as_many_frames() -> None:
    for length, rate in ((240, 4.0), (3840, 64.0), (1250, 250.0), (30_720, 512.0), (100, 64.0)):
        for causal in (True, False):
            front = Front(InputShape(3, length, rate), width=4, frames=128, causal=causal)
            assert front(torch.zeros(2, 3, length)).shape == (2, 4, front.n_frames)
            assert min(128, length) <= front.n_frames < 256
    rhythm = Front(InputShape(2, 250, 250.0), width=4, frames=250)
    assert rhythm.filter.kernel_size == (63,), "a quarter of a second, whatever the stride"


def test_segments_average_what_lies_in_them_and_hold_the_last_frame_where_nothing_does() -> None:
    weights = segments(torch.arange(6), 6, 3)
    torch.testing.assert_close(weights @ torch.arange(6.0), torch.tensor([0.5, 2.5, 4.5]))
    torch.testing.assert_close(
        segments(torch.arange(6), 6, 3, so_far=True) @ torch.arange(6.0), torch.tensor([0.5, 1.5, 2.5])
    )
    held = segments(torch.tensor([1, 5]), 8, 4)  # ends: 2, 4, 6, 8
    torch.testing.assert_close(held @ torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0, 2.0, 2.0]))
    assert frame_times(3, 4, causal=True).tolist() == [3, 7, 11]
    assert frame_times(3, 4, causal=False).tolist() == [1, 5, 9]


def test_pooling_is_mean_and_logarithm_of_the_spread() -> None:
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0))
    spread = 0.5 * (x.var(dim=-1, correction=0) + 1e-3).log()

    whole = Pooling(torch.arange(12), 12, 0, causal=False)(x)
    causal, free = (Pooling(torch.arange(12), 12, 3, causal=causal)(x) for causal in (True, False))

    torch.testing.assert_close(whole, torch.cat([x.mean(dim=-1), spread], dim=-1))
    torch.testing.assert_close(free[..., :5], x.unflatten(-1, (3, 4)).mean(dim=-1).mT)
    torch.testing.assert_close(free[:, :, 5:], whole[:, None].expand(-1, 3, -1))
    first = x[..., :4]
    torch.testing.assert_close(causal[:, 0, 5:10], first.mean(dim=-1))
    torch.testing.assert_close(causal[:, 0, 10:], 0.5 * (first.var(dim=-1, correction=0) + 1e-3).log())
    torch.testing.assert_close(causal[:, 2, 5:], whole)


def test_signals_of_any_rates_meet_in_common_steps() -> None:
    shapes = {"temp": InputShape(1, 10, 1.0), "bvp": InputShape(1, 640, 64.0), "eeg": InputShape(4, 2500, 250.0)}
    for n_steps, expected in ((0, 32), (10, 30), (40, 40)):
        for causal in (True, False):
            front = CommonSteps(shapes, width=6, frames=32, n_steps=n_steps, causal=causal)
            assert front.steps == expected
            assert front({name: shape.zeros(2) for name, shape in shapes.items()}).shape == (2, 6, expected)
    few = CommonSteps({"temp": shapes["temp"]}, width=6, frames=32, n_steps=0, causal=False)
    assert few.steps == 10
