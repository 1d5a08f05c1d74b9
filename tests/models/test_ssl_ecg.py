"""SSL-ECG: the encoder against its layer table, the heads, and the way from pretext to task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from cases.ssl_ecg import ECG
from torch import Tensor, nn

from limbeck.distillation import Batch, Context, Joint, Learner, Sight, feature_shapes, make_losses
from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters, dry_run
from limbeck.models.ssl_ecg import TRANSFORMATIONS, TaskHead
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member


def an_ensemble(make: Callable[[], nn.Module], shapes: dict[str, InputShape]) -> tuple[Ensemble, Batch]:
    """Return two networks as one, and a batch for each."""
    empty = np.empty(0, dtype=np.int64)
    members = [Member(Fold(0, f, np.arange(4), empty, empty, empty, (), (), (), ()), seed=7) for f in range(2)]
    batch = Batch(
        sights={"plain": Sight({name: torch.randn(2, *shape.zeros(4).shape) for name, shape in shapes.items()}, {})},
        target=torch.arange(8).reshape(2, 4) % 2,
        labelled=torch.ones(2, 4),
        class_weights=torch.ones(2, 2),
        logits=torch.empty(2, 4, 0),
        trust=torch.ones(2, 4),
        teachers={},
        index=torch.arange(8).reshape(2, 4),
        progress=torch.zeros(2),
        strength=torch.ones(2),
    )

    def build_learner() -> Learner:
        network = make()
        context = Context("class", 2, shapes, feature_shapes(network, shapes))
        return Learner(network, make_losses({"hard": {}}), context)

    return Ensemble(build_learner, members, backend="stacked"), batch


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
    model = build("ssl_ecg", ECG, 2)
    features = dry_run(model, ECG, batch=1).features

    assert [tuple(features[f"conv{block}"].shape[1:]) for block in (1, 2, 3)] == [(32, 2560), (64, 1277), (128, 635)]
    assert features["embedding"].shape == (1, 128)
    assert count_parameters(model.encoder) == 329_152
    assert count_parameters(TaskHead(128, 128, 0.6)) == 33_153


def test_a_head_has_two_hidden_layers() -> None:
    torch.manual_seed(0)
    head, x = TaskHead(6, 5, 0.6).eval(), torch.randn(3, 6)
    h = nn.functional.leaky_relu(head.second(nn.functional.leaky_relu(head.first(x), 0.2)), 0.2)

    torch.testing.assert_close(head(x), head.last(h))


def test_the_loss_weights_of_the_transformations_sum_to_one() -> None:
    assert sum(TRANSFORMATIONS.values()) == pytest.approx(1.0)
    assert next(iter(TRANSFORMATIONS)) == "original"


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

    (phase,) = Joint().phases(0, 1e-3)
    gradient, _, _ = ensemble.gradients(phase, batch, step=0)

    for name, part in ensemble.parameters_of(gradient).items():
        assert bool(part.any()) != name.startswith("network.encoder"), name


def test_a_window_that_pooling_would_empty_is_refused() -> None:
    build("ssl_ecg", {"ecg": InputShape(1, 22, 64.0)}, 2, width=2)
    with pytest.raises(LimbeckError, match="reads windows of 22 samples or more; 'ecg' has 21"):
        build("ssl_ecg", {"ecg": InputShape(1, 21, 64.0)}, 2, width=2)
    with pytest.raises(LimbeckError, match="at most 1 modality"):
        build("ssl_ecg", {**ECG, "eda": InputShape(1, 100, 4.0)}, 2)
