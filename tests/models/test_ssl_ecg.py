"""SSL-ECG: the encoder against its layer table, the heads, and the way from pretext to task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from cases.ssl_ecg import ECG
from torch import Tensor, nn

from limbeck.distillation import Batch, Criterion, Student
from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters, dry_run
from limbeck.models.ssl_ecg import TRANSFORMATIONS
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member


def an_ensemble(make: Callable[[], nn.Module], shapes: dict[str, InputShape]) -> tuple[Ensemble, Batch]:
    """Return two networks as one, and a batch for each."""
    empty = np.empty(0, dtype=np.int64)
    members = [Member(Fold(0, f, np.arange(4), empty, empty, empty, (), (), (), ()), seed=7) for f in range(2)]
    inputs = {name: torch.randn(2, *shape.zeros(4).shape) for name, shape in shapes.items()}
    target = torch.arange(8).reshape(2, 4) % 2
    batch = Batch(inputs, target, torch.ones(2, 4), torch.ones(2, 2), torch.empty(2, 4, 0), {})
    return Ensemble(lambda: Student(make()), members, backend="stacked"), batch


def encoder_reference(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """Pass (batch, channels, length) through the published layers, a matrix product per convolution."""
    for block in range(3):
        if block:
            x = x.unfold(2, 8, 2).amax(dim=-1)
        for place in (0, 2):
            weight, bias = (state[f"encoder.blocks.{block}.{place}.{part}"] for part in ("weight", "bias"))
            span = weight.shape[-1]
            before = (span - 1) // 2  # the odd zero of an even span stands behind the signal
            padded = nn.functional.pad(x, (before, span - 1 - before))
            x = torch.einsum("bclk,fck->bfl", padded.unfold(2, span, 1), weight) + bias[:, None]
            x = torch.where(x > 0, x, 0.2 * x)
    return x.amax(dim=-1)


def test_the_encoder_follows_its_layer_table() -> None:
    torch.manual_seed(0)
    model = build("ssl_ecg", {"ecg": InputShape(2, 90, 64.0)}, 2, width=4, hidden=6).eval()
    x = torch.randn(3, 2, 90)

    found = model({"ecg": x}).features

    torch.testing.assert_close(found["embedding"], encoder_reference(x, model.state_dict()), rtol=1e-5, atol=1e-5)
    assert [found[f"conv{block}"].shape[1:] for block in (1, 2, 3)] == [(4, 90), (8, 42), (16, 18)]


def test_the_published_lengths_and_sizes() -> None:
    model = build("ssl_ecg_pretext", ECG, len(TRANSFORMATIONS))
    features = dry_run(model, ECG, batch=1).features

    assert [tuple(features[f"conv{block}"].shape[1:]) for block in (1, 2, 3)] == [(32, 2560), (64, 1277), (128, 635)]
    assert features["embedding"].shape == (1, 128)
    assert count_parameters(model.encoder) == 329_152
    assert {count_parameters(head) for head in model.heads} == {33_153}


def test_the_loss_weights_of_the_transformations_sum_to_one() -> None:
    assert sum(TRANSFORMATIONS.values()) == pytest.approx(1.0)
    assert next(iter(TRANSFORMATIONS)) == "original"


def test_each_transformation_has_a_head_of_its_own() -> None:
    torch.manual_seed(0)
    shapes = {"ecg": InputShape(1, 40, 64.0)}
    model = build("ssl_ecg_pretext", shapes, 3, width=4, hidden=5).eval()
    outputs = model({"ecg": torch.randn(2, 1, 40)})
    head = model.heads[1]
    h = nn.functional.leaky_relu(head.first(outputs.features["embedding"]), 0.2)
    h = nn.functional.leaky_relu(head.second(h), 0.2)

    torch.testing.assert_close(outputs.prediction[:, 1:2], head.last(h))
    outputs.prediction[:, 0].sum().backward()
    assert not any(parameter.grad.any() for parameter in model.heads[1].parameters())
    assert all(parameter.grad.any() for parameter in model.heads[0].parameters())


def test_the_classifier_starts_from_the_encoder_of_the_pretext_network() -> None:
    shapes = {"ecg": InputShape(1, 64, 64.0)}
    pretext = build("ssl_ecg_pretext", shapes, 7, width=4, hidden=5).eval()
    classifier = build("ssl_ecg", shapes, 2, width=4, hidden=(6, 6)).eval()
    kept = {name: value for name, value in pretext.state_dict().items() if not name.startswith("heads.")}

    found = classifier.load_state_dict(kept, strict=False)

    assert not found.unexpected_keys
    assert {name.split(".")[0] for name in found.missing_keys} == {"dense", "head"}
    inputs = {"ecg": torch.randn(2, 1, 64)}
    assert torch.equal(classifier(inputs).features["embedding"], pretext(inputs).features["embedding"])


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_takes_no_gradient(frozen: bool) -> None:
    torch.manual_seed(0)
    model = build("ssl_ecg", {"ecg": InputShape(1, 40, 64.0)}, 2, width=4, hidden=6, frozen=frozen)
    model({"ecg": torch.randn(4, 1, 40)}).prediction.square().sum().backward()

    reached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {"dense", "head"} | (set() if frozen else {"encoder"})


def test_a_frozen_encoder_stays_as_it_is_in_a_stack() -> None:
    shapes = {"ecg": InputShape(1, 40, 64.0)}
    ensemble, batch = an_ensemble(lambda: build("ssl_ecg", shapes, 2, width=4, hidden=6, frozen=True), shapes)

    gradient, _, _ = ensemble.gradients(Criterion({"hard": {}}, kind="class"), batch, step=0)

    for name, part in ensemble.parameters_of(gradient).items():
        assert bool(part.any()) != name.startswith("network.encoder"), name


@pytest.mark.parametrize("name", ["ssl_ecg", "ssl_ecg_pretext"])
def test_a_window_that_pooling_would_empty_is_refused(name: str) -> None:
    build(name, {"ecg": InputShape(1, 22, 64.0)}, 2, width=2)
    with pytest.raises(LimbeckError, match="reads windows of 22 samples or more; 'ecg' has 21"):
        build(name, {"ecg": InputShape(1, 21, 64.0)}, 2, width=2)
    with pytest.raises(LimbeckError, match="at most 1 modality"):
        build(name, {**ECG, "eda": InputShape(1, 100, 4.0)}, 2)
