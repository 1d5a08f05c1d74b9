"""EmotionNet against an independent reading of its layer table, and what was mended in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from cases.emotion_net import EDA, EEG, SMALL
from torch import Tensor, nn

from limbeck.distillation import Context, Learner, feature_shapes, make_losses
from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, dry_run
from limbeck.models.layers import RowNorm

Draw = Callable[..., dict[str, Tensor]]
State = Mapping[str, np.ndarray]

BOTH = {"eeg": InputShape(3, 56, 128.0), "eda": InputShape(1, 56, 128.0)}
UNEQUAL = {"eeg": InputShape(3, 64, 128.0), "eda": InputShape(1, 5, 4.0)}
DEEP = {**SMALL, "depth": 3}


def at_random(name: str, modalities: Mapping[str, InputShape], **options: Any) -> nn.Module:
    """Build a network whose weights and running statistics are all away from their first values."""
    torch.manual_seed(3)
    model = build(name, modalities, 2, **{**DEEP, **options})
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(0.4 * torch.randn(value.shape, generator=generator))
                if key.endswith("running_var"):
                    value.abs_().add_(0.5)
    return model


# ---- the layer table, in NumPy and float64 ---------------------------------------------------------------------------


class Reference:
    """The published layers, read from the state of a network; batch normalisation by its batch in training."""

    def __init__(self, model: nn.Module, *, training: bool) -> None:
        self.p: State = {key: value.double().numpy() for key, value in model.state_dict().items()}
        self.training = training

    def dense(self, path: str, x: np.ndarray) -> np.ndarray:
        return x @ self.p[f"{path}.weight"].T + self.p[f"{path}.bias"]

    def batch_norm(self, path: str, x: np.ndarray) -> np.ndarray:
        """Over all but the last axis."""
        rows = x.reshape(-1, x.shape[-1])
        mean, var = self.p[f"{path}.running_mean"], self.p[f"{path}.running_var"]
        if self.training:
            mean, var = rows.mean(axis=0), rows.var(axis=0)
        return (x - mean) / np.sqrt(var + 1e-3) * self.p[f"{path}.weight"] + self.p[f"{path}.bias"]

    def layer_norm(self, path: str, x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
        return x * self.p[f"{path}.weight"] + self.p[f"{path}.bias"]

    def attention(self, path: str, x: np.ndarray, heads: int) -> np.ndarray:
        q, k, v = (self.dense(f"{path}.{part}", x) for part in ("query", "key", "value"))
        each = q.shape[-1] // heads
        mixed = np.empty_like(q)
        for b in range(len(x)):
            for h in range(heads):
                part = slice(h * each, (h + 1) * each)
                scores = q[b, :, part] @ k[b, :, part].T / math.sqrt(each)
                weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
                mixed[b, :, part] = weights @ v[b, :, part]
        return self.dense(f"{path}.out", mixed)

    def stream(self, name: str, x: np.ndarray, kernel: int, stride: int) -> list[np.ndarray]:
        path = f"streams.{name}"
        temporal, spatial = self.p[f"{path}.temporal.weight"], self.p[f"{path}.spatial.weight"]
        tokens = (x.shape[2] - kernel) // stride + 1
        cuts = np.stack([x[:, :, t * stride : t * stride + kernel] for t in range(tokens)], axis=1)
        h = np.einsum("btck,fk->btcf", cuts, temporal[:, 0, 0]) + self.p[f"{path}.temporal.bias"]
        h = np.maximum(self.batch_norm(f"{path}.temporal_norm", h), 0)
        h = np.einsum("btcf,gfc->btg", h, spatial[..., 0]) + self.p[f"{path}.spatial.bias"]
        h = h + self.p[f"{path}.positions.weight"][:tokens]
        levels = []
        for k in range(DEEP["depth"]):
            block = f"{path}.blocks.{k}"
            h = self.layer_norm(f"{block}.attention_norm", h + self.attention(f"{block}.attention", h, SMALL["heads"]))
            fed = self.dense(f"{block}.second", np.maximum(self.dense(f"{block}.first", h), 0))
            h = self.layer_norm(f"{block}.norm", h + fed)
            levels.append(h)
        return levels

    def extract(self, path: str, x: np.ndarray, *, pooling: bool) -> np.ndarray:
        h = x.mean(axis=1)[:, None] if pooling else x
        h = np.maximum(self.batch_norm(f"{path}.first_norm", self.dense(f"{path}.first", h)), 0)
        h = self.batch_norm(f"{path}.second_norm", self.dense(f"{path}.second", h))
        return x * (h / (1 + np.abs(h)))

    def classify(self, tokens: np.ndarray, *, activation: bool) -> np.ndarray:
        h = tokens.reshape(len(tokens), -1)
        for k in range(3):
            h = self.dense(f"hidden.{k}", h)
            h = np.maximum(h, 0) if activation else h
        return self.dense("head", h)


def numpy_of(inputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: x.double().numpy() for name, x in inputs.items()}


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("pooling", [False, True], ids=["per-token", "pooled"])
@pytest.mark.parametrize("as_released", [False, True], ids=["mended", "released"])
def test_the_teacher_computes_its_layer_table(
    training: bool, pooling: bool, as_released: bool, random_inputs: Draw
) -> None:
    model = at_random("emotion_net_teacher", BOTH, pooling=pooling, as_released=as_released).train(training)
    inputs = random_inputs(BOTH, 4)
    reference, x = Reference(model, training=training), numpy_of(inputs)
    e, g = (reference.stream(name, x[name], 32, 8) for name in ("eeg", "eda"))
    fused = np.zeros(())
    for k in range(2):
        before = np.concatenate([e[k], g[k]], axis=1)
        after = np.concatenate([e[k] if as_released else e[k + 1], g[k + 1]], axis=1)
        fused = fused + reference.extract(f"fusion.{k}.before", before, pooling=pooling)
        fused = fused + reference.extract(f"fusion.{k}.after", after, pooling=pooling)

    outputs = model(inputs)

    found = {name: feature.detach().numpy() for name, feature in outputs.features.items()}
    for k in range(3):
        np.testing.assert_allclose(found[f"eeg_{k + 1}"], e[k], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found[f"eda_{k + 1}"], g[k], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["imf"], fused[:, :4] + fused[:, 4:], rtol=1e-5, atol=1e-5)
    prediction = reference.classify(fused, activation=not as_released)
    np.testing.assert_allclose(outputs.prediction.detach().numpy(), prediction, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("as_released", [False, True], ids=["mended", "released"])
def test_the_student_computes_its_layer_table(training: bool, as_released: bool, random_inputs: Draw) -> None:
    eda = {"eda": BOTH["eda"]}
    model = at_random("emotion_net_student", eda, as_released=as_released).train(training)
    inputs = random_inputs(eda, 4)
    reference, x = Reference(model, training=training), numpy_of(inputs)
    levels = reference.stream("eda", x["eda"], 32, 8)
    fused = sum(reference.extract(f"fusion.{k}", level, pooling=False) for k, level in enumerate(levels))

    outputs = model(inputs)

    np.testing.assert_allclose(outputs.features["imf"].detach().numpy(), fused, rtol=1e-5, atol=1e-5)
    prediction = reference.classify(np.asarray(fused), activation=not as_released)
    np.testing.assert_allclose(outputs.prediction.detach().numpy(), prediction, rtol=1e-5, atol=1e-5)


# ---- what was mended -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reached"),
    [
        ({}, True),
        ({"aligned": False}, False),
        ({"as_released": True}, False),
        ({"as_released": True, "aligned": True}, True),
    ],
    ids=str,
)
def test_the_last_block_of_the_privileged_modality_learns_unless_as_released(
    options: dict[str, bool], reached: bool, random_inputs: Draw
) -> None:
    model = at_random("emotion_net_teacher", BOTH, **options)

    model(random_inputs(BOTH, 4)).prediction.square().sum().backward()

    assert all(p.grad.any() for p in model.streams["eda"].blocks[2].norm.parameters())
    last = [p.grad is not None and bool(p.grad.any()) for p in model.streams["eeg"].blocks[2].norm.parameters()]
    assert last == [reached, reached]


@pytest.mark.parametrize("name", ["emotion_net_teacher", "emotion_net_student"])
def test_the_dense_layers_are_one_linear_map_as_released_only(name: str) -> None:
    shapes = BOTH if name.endswith("teacher") else {"eda": BOTH["eda"]}
    for options, linear in [({}, False), ({"activation": False}, True), ({"as_released": True}, True)]:
        model = at_random(name, shapes, **options).eval()
        width = model.hidden[0].in_features
        x = torch.randn(3, width, generator=torch.Generator().manual_seed(0))

        def classify(x: Tensor, model: nn.Module = model) -> Tensor:
            model.fuse = lambda levels: x.unflatten(1, (-1, SMALL["width"]))
            return model({m: shape.zeros(len(x)) for m, shape in shapes.items()}).prediction

        middle = (classify(x[:1]) + classify(x[1:2])) / 2
        assert torch.allclose(classify((x[:1] + x[1:2]) / 2), middle, atol=1e-5) == linear


# ---- the feature that teacher and student share ----------------------------------------------------------------------


def test_teacher_and_student_share_a_feature_of_one_width_at_published_shapes() -> None:
    teacher = dry_run(build("emotion_net_teacher", {"eeg": EEG, "eda": EDA}, 2), {"eeg": EEG, "eda": EDA}).features
    student = dry_run(build("emotion_net_student", {"eda": EDA}, 2), {"eda": EDA}).features

    assert teacher["imf"].shape == student["imf"].shape == (2, 61, 64)
    assert {name: tuple(f.shape[1:]) for name, f in teacher.items() if name not in ("imf", "hidden")} == {
        f"{m}_{k}": (61, 64) for m in ("eeg", "eda") for k in (1, 2, 3)
    }


def test_the_three_mappings_are_views_of_the_same_tokens(random_inputs: Draw) -> None:
    inputs = random_inputs(BOTH, 3)
    outputs = {
        mapping: at_random("emotion_net_teacher", BOTH, mapping=mapping).eval()(inputs)
        for mapping in ("sum_halves", "gsr_half", "linear")
    }
    features = {mapping: found.features["imf"] for mapping, found in outputs.items()}
    eeg, eda = features["linear"].split(4, dim=1)

    torch.testing.assert_close(features["sum_halves"], eeg + eda)
    assert torch.equal(features["gsr_half"], eda)
    assert torch.equal(outputs["linear"].prediction, outputs["gsr_half"].prediction)


def test_a_student_modality_may_stand_anywhere_in_the_view(random_inputs: Draw) -> None:
    inputs = random_inputs(BOTH, 3)
    turned = {"eda": BOTH["eda"], "eeg": BOTH["eeg"]}
    model = at_random(
        "emotion_net_teacher", turned, mapping="gsr_half", student_modality="eda", as_released=True
    ).eval()
    everything = at_random(
        "emotion_net_teacher", turned, mapping="linear", student_modality="eda", as_released=True
    ).eval()

    assert torch.equal(model(inputs).features["imf"], everything(inputs).features["imf"][:, :4])
    model(inputs).prediction.sum().backward()
    assert model.streams["eda"].blocks[2].norm.weight.grad.any()
    assert model.streams["eeg"].blocks[2].norm.weight.grad is None


def test_tokens_of_another_rate_are_averaged_onto_the_time_of_the_student(random_inputs: Draw) -> None:
    """64 samples of EEG make 5 tokens, 5 of skin conductance make 3: each of these covers 5/3 of the others."""
    inputs = random_inputs(UNEQUAL, 3)
    found, tokens = (
        at_random("emotion_net_teacher", UNEQUAL, mapping=mapping).eval()(inputs).features["imf"]
        for mapping in ("sum_halves", "linear")
    )
    eeg, eda = tokens.split([5, 3], dim=1)
    weights = torch.tensor([[3.0, 2, 0, 0, 0], [0, 1, 3, 1, 0], [0, 0, 0, 2, 3]]) / 5

    torch.testing.assert_close(found, weights @ eeg + eda)
    student = build("emotion_net_student", {"eda": UNEQUAL["eda"]}, 2, **DEEP)
    assert dry_run(student, {"eda": UNEQUAL["eda"]}).features["imf"].shape[1:] == found.shape[1:]


def test_a_hint_with_a_learned_map_matches_the_unmapped_feature() -> None:
    teacher = build("emotion_net_teacher", BOTH, 2, mapping="linear", **SMALL)
    eda = {"eda": BOTH["eda"]}
    student = build("emotion_net_student", eda, 2, **SMALL)
    losses = make_losses({"hint": {"student": "imf", "teacher": "imf", "map": "linear"}})
    context = Context("class", 2, eda, feature_shapes(student, eda), {"teacher": feature_shapes(teacher, BOTH)})

    learner = Learner(student, losses, context)

    own, taught = (dry_run(model, shapes).features["imf"] for model, shapes in ((student, eda), (teacher, BOTH)))
    matched, unchanged = learner.losses["hint"].matched["teacher"](own, taught)
    assert own.shape[1:] == (4, 6)
    assert matched.shape == taught.shape == (own.shape[0], 8, 6)
    assert torch.equal(unchanged, taught)


def test_any_number_of_modalities_takes_part(random_inputs: Draw) -> None:
    shapes = {**BOTH, "bvp": InputShape(1, 30, 64.0), "acc": InputShape(3, 30, 64.0)}
    for name, chosen in [
        ("emotion_net_teacher", shapes),
        ("emotion_net_teacher", {"eda": BOTH["eda"]}),
        ("emotion_net_student", {"bvp": shapes["bvp"], "acc": shapes["acc"]}),
    ]:
        model = at_random(name, chosen).eval()
        inputs = random_inputs(chosen, 2)
        before = model(inputs)
        assert before.features["imf"].shape == before.features[f"{list(chosen)[-1]}_1"].shape
        for modality in chosen:
            changed = model({**inputs, modality: inputs[modality].flip(-1)})
            assert not torch.allclose(before.prediction, changed.prediction)


# ---- shapes, first values, one window --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "shortest"),
    [
        (InputShape(1, 39, 128.0), 40),
        (InputShape(1, 159, 512.0), 160),
        (InputShape(1, 3, 4.0), 4),
        (InputShape(1, 1, 1.0), 4),
    ],
)
def test_a_window_of_one_token_is_refused_and_a_sample_more_is_read(shape: InputShape, shortest: int) -> None:
    with pytest.raises(LimbeckError, match=rf"emotion_net_student reads windows of {shortest} samples or more at"):
        build("emotion_net_student", {"eda": shape}, 2, **SMALL)

    longer = {"eda": InputShape(1, shortest, shape.rate)}
    assert dry_run(build("emotion_net_student", longer, 2, **SMALL), longer).features["imf"].shape == (2, 2, 6)


def test_the_first_convolution_keeps_its_duration_at_other_rates() -> None:
    for rate, kernel, stride in [(128.0, 32, 8), (512.0, 128, 32), (64.0, 16, 4), (4.0, 3, 1)]:
        model = build("emotion_net_student", {"eda": InputShape(1, int(4 * rate), rate)}, 2, **SMALL)
        layer = model.streams["eda"].temporal
        assert (layer.kernel_size, layer.stride) == ((1, kernel), (1, stride))


def test_long_windows_get_a_longer_table_of_positions() -> None:
    assert build("emotion_net_student", {"eda": EDA}, 2, **SMALL).streams["eda"].positions.weight.shape == (64, 6)
    long = {"eda": InputShape(1, 1024, 128.0)}
    assert build("emotion_net_student", long, 2, **SMALL).streams["eda"].positions.weight.shape == (125, 6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "emotion_net_teacher",
            {"mapping": "halves"},
            "mapping is 'halves'; expected one of sum_halves, gsr_half, linear",
        ),
        ("emotion_net_teacher", {"student_modality": "ecg"}, "student_modality is 'ecg'; the view has eeg, eda"),
        ("emotion_net_teacher", {"depth": 1}, "emotion_net_teacher: depth is 1; two levels are joined"),
        ("emotion_net_student", {"kernel": 0}, "emotion_net_student: kernel is 0; expected at least 1"),
        ("emotion_net_teacher", {"stride": -1}, "emotion_net_teacher: stride is -1; expected at least 1"),
        ("emotion_net_student", {"head_width": 0}, "emotion_net_student: head_width is 0; expected at least 1"),
        ("emotion_net_student", {"depth": 0}, "emotion_net_student: depth is 0; expected at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        build(name, BOTH, 2, **{**SMALL, **options})


def test_first_values_are_those_of_the_released_framework() -> None:
    """Glorot's bounds; of an attention's kernels with three axes all but the last two count as a filter's extent."""
    torch.manual_seed(0)
    model = build("emotion_net_teacher", {"eeg": EEG, "eda": EDA}, 2)
    stream = model.streams["eeg"]
    attention = stream.blocks[0].attention
    bounds = [
        (stream.temporal.weight, math.sqrt(6 / (32 + 64 * 32))),
        (stream.spatial.weight, math.sqrt(6 / (28 * 64 + 28 * 64))),
        (stream.positions.weight, 0.05),
        (attention.query.weight, math.sqrt(6 / (64 * (8 + 64)))),
        (attention.value.weight, math.sqrt(6 / (64 * (8 + 64)))),
        (attention.out.weight, math.sqrt(6 / (8 * (64 + 64)))),
        (stream.blocks[1].first.weight, math.sqrt(6 / 128)),
        (model.fusion[0].after.second.weight, math.sqrt(6 / 128)),
        (model.hidden[0].weight, math.sqrt(6 / (7808 + 128))),
        (model.head.weight, math.sqrt(6 / 130)),
    ]
    for weight, bound in bounds:
        assert 0.9 * bound < weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert not any(p.any() for n, p in model.named_parameters() if n.endswith("bias"))
    modules = build("emotion_net_student", {"eda": EDA}, 2).modules()
    norms = [module for module in modules if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]

    assert any(isinstance(norm, RowNorm) for norm in norms)
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}
