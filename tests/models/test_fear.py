"""The networks for levels of fear, against their layer tables written out."""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
from cases.fear import ASCERTAIN, ASCERTAIN_STUDENT, DEAP, DEAP_STUDENT
from learning import gradients_of, labelled_batch, learners, members_of
from numpy.typing import NDArray
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters
from limbeck.models.heads import with_new_head

Array = NDArray[np.float64]


def weights_of(model: nn.Module) -> dict[str, Array]:
    """Give every weight and running statistic a random value, and return them all."""
    generator = torch.Generator().manual_seed(4)
    trained = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name in trained or "running_" in name:
                drawn = torch.rand(value.shape, generator=generator)
                value.copy_(drawn + 0.5 if name.endswith("running_var") else 0.6 * drawn - 0.3)
    return {name: value.double().numpy() for name, value in model.state_dict().items()}


def same_conv(x: Array, kernel: Array, bias: Array) -> Array:
    """Convolve (channels, length) with (filters, channels, span), zeros around."""
    span = kernel.shape[-1]
    padded = np.pad(x, ((0, 0), ((span - 1) // 2, span // 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, span, axis=1)
    return np.einsum("clk,fck->fl", windows, kernel) + bias[:, None]


def larger_of_two(x: Array) -> Array:
    even = x[:, : x.shape[1] // 2 * 2]
    return np.maximum(even[:, ::2], even[:, 1::2])


def dense(x: Array, weights: dict[str, Array], name: str) -> Array:
    result: Array = weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]
    return result


def convolutional_reference(row: Array, weights: dict[str, Array], *, normed: int, hidden: int) -> Array:
    """Pass one row through the published layers."""
    x = row[None]
    for block in range(normed + 1):
        at = f"blocks.{block}"
        x = np.maximum(same_conv(x, weights[f"{at}.conv.weight"], weights[f"{at}.conv.bias"]), 0)
        if block < normed:
            spread = np.sqrt(weights[f"{at}.norm.running_var"] + 1e-3)
            scale = weights[f"{at}.norm.weight"] / spread
            x = (x - weights[f"{at}.norm.running_mean"][:, None]) * scale[:, None] + weights[f"{at}.norm.bias"][:, None]
        x = larger_of_two(x)
    x = x.reshape(-1)
    for layer in range(hidden):
        x = dense(x, weights, f"dense.layers.{layer}")
        x = np.tanh(x) if layer < hidden - 1 else np.maximum(x, 0)
    return dense(x, weights, "head")


@pytest.mark.parametrize(
    ("name", "modalities", "normed", "hidden"), [("fear_cnn", DEAP, 4, 3), ("fear_student", DEAP_STUDENT, 2, 2)]
)
def test_the_convolutional_networks_follow_their_layer_tables(
    name: str, modalities: dict[str, InputShape], normed: int, hidden: int
) -> None:
    model = build(name, modalities, 4, width=16).eval()
    weights = weights_of(model)
    inputs = {
        m: torch.randn(3, shape.channels, generator=torch.Generator().manual_seed(1)) for m, shape in modalities.items()
    }

    found = model({m: inputs[m] for m in reversed(inputs)}).prediction  # the order is that of the view

    rows = torch.cat(list(inputs.values()), dim=1).double().numpy()
    expected = [convolutional_reference(row, weights, normed=normed, hidden=hidden) for row in rows]
    np.testing.assert_allclose(found.detach(), np.stack(expected), rtol=1e-5, atol=1e-5)


def sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result


def lstm(sequence: Array, kernel: Array, recurrent: Array, bias: Array) -> Array:
    """Return the states of an LSTM with one bias per gate."""
    h = c = np.zeros(recurrent.shape[1])
    states = []
    for step in sequence:
        i, f, g, o = np.split(kernel @ step + recurrent @ h + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.stack(states)


def gru(sequence: Array, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array) -> Array:
    """Return the states of gated units that reset after the recurrent product."""
    h = np.zeros(recurrent.shape[1])
    states = []
    for step in sequence:
        r, z, n = np.split(kernel @ step + bias, 3)
        from_r, from_z, from_n = np.split(recurrent @ h + recurrent_bias, 3)
        z = sigmoid(z + from_z)
        h = z * h + (1 - z) * np.tanh(n + sigmoid(r + from_r) * from_n)
        states.append(h)
    return np.stack(states)


@pytest.mark.parametrize("name", ["fear_lstm", "fear_gru"])
def test_the_recurrent_networks_follow_their_layer_tables(name: str) -> None:
    shapes = {"eeg": InputShape(7), "eda": InputShape(2)}
    model = build(name, shapes, 4, width=6, hidden=(5, 4)).eval()
    weights = weights_of(model)
    rows = torch.randn(3, 9, generator=torch.Generator().manual_seed(1))

    found = model({"eeg": rows[:, :7], "eda": rows[:, 7:]}).prediction

    for row, prediction in zip(rows.double().numpy(), found.detach(), strict=True):
        x = row[:, None]
        for layer in ("first", "second"):
            parts = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", *(["bias_hh_l0"] if name == "fear_gru" else [])]
            arrays = [weights[f"{layer}.{part}"] for part in parts]
            x = gru(x, *arrays) if name == "fear_gru" else lstm(x, *arrays)
        x = x[-1]
        for layer in ("dense.layers.0", "dense.layers.1"):
            x = np.maximum(dense(x, weights, layer), 0)
        np.testing.assert_allclose(prediction, dense(x, weights, "head"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "modalities", "n_outputs", "printed"),
    [
        ("fear_cnn", DEAP, 10, 198_362),
        ("fear_cnn", DEAP, 4, 198_260),
        ("fear_cnn", ASCERTAIN, 7, 181_927),
        ("fear_cnn", ASCERTAIN, 4, 181_876),
        ("fear_cnn", DEAP_STUDENT, 10, 186_074),
        ("fear_student", DEAP_STUDENT, 4, 117_588),
        ("fear_student", ASCERTAIN_STUDENT, 4, 93_012),
    ],
)
def test_printed_sizes_count_running_statistics(
    name: str, modalities: dict[str, InputShape], n_outputs: int, printed: int
) -> None:
    model = build(name, modalities, n_outputs)
    fixed = sum(value.numel() for key, value in model.state_dict().items() if "running_" in key)

    assert count_parameters(model) + fixed == printed


def test_the_lengths_are_those_of_the_tables() -> None:
    for name, modalities, lengths in [
        ("fear_cnn", DEAP, (88, 44, 22, 11, 5)),
        ("fear_student", DEAP_STUDENT, (43, 21, 10)),
    ]:
        features = build(name, modalities, 4).eval()({m: s.zeros(1) for m, s in modalities.items()}).features
        assert tuple(features[f"conv{place + 1}"].shape[-1] for place in range(len(lengths))) == lengths
        assert features["flat"].shape == (1, 64 * lengths[-1])


def test_the_recurrent_backbones_have_the_sizes_of_their_layers() -> None:
    dense_layers = 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    lstm_layers = 4 * 128 * (1 + 128 + 1) + 4 * 64 * (128 + 64 + 1)
    gru_layers = 3 * 128 * (1 + 128 + 2) + 3 * 64 * (128 + 64 + 2)

    assert count_parameters(build("fear_lstm", DEAP, 10)) == lstm_layers + dense_layers
    assert count_parameters(build("fear_gru", DEAP, 10)) == gru_layers + dense_layers


def test_a_row_of_too_few_features_is_answered_with_the_depth_that_fits() -> None:
    with pytest.raises(
        LimbeckError, match=r"at least 32 features, and the view has 31\. Choose depth 3 or a model for few"
    ):
        build("fear_cnn", {"eeg": InputShape(31)}, 4)
    with pytest.raises(LimbeckError, match=r"at least 8 features, and the view has 3\. Choose a model for few"):
        build("fear_student", {"eeg": InputShape(3)}, 4)
    with pytest.raises(LimbeckError, match=r"at least 8 features, and the view has 1\. Choose a model for few"):
        build("fear_student", {"eeg": InputShape(1)}, 4)
    build("fear_cnn", {"eeg": InputShape(32)}, 4, width=4)
    build("fear_cnn", {"eeg": InputShape(31)}, 4, width=4, depth=3)


@pytest.mark.parametrize(
    ("name", "option", "said"),
    [
        ("fear_cnn", {"depth": 0}, "depth is 0; expected at least 1"),
        ("fear_lstm", {"width": 1}, "width is 1; expected at least 2"),
        ("fear_gru", {"hidden": [8, 0]}, re.escape("hidden is [8, 0]; expected a list of whole numbers of at least 1")),
    ],
)
def test_options_out_of_range_are_refused(name: str, option: dict[str, object], said: str) -> None:
    with pytest.raises(LimbeckError, match=said):
        build(name, DEAP, 4, **option)


def test_weights_start_as_the_source_draws_them() -> None:
    torch.manual_seed(0)
    cnn, recurrent = build("fear_cnn", DEAP, 10), build("fear_lstm", DEAP, 10)
    second = cnn.blocks[1].conv
    bound = (6 / (128 * 3 + 128 * 3)) ** 0.5

    assert second.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert not second.bias.any()
    gates = recurrent.first.bias_ih_l0.detach().reshape(4, 128)
    assert gates[1].eq(1).all()
    assert not gates[[0, 2, 3]].any()
    product = recurrent.first.weight_hh_l0.T @ recurrent.first.weight_hh_l0
    torch.testing.assert_close(product.detach(), torch.eye(128), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["fear_lstm", "fear_gru", "zoo_lstm", "zoo_cnn_lstm"])
def test_the_recurrent_networks_train_one_after_the_other(name: str) -> None:
    shapes = {"eeg": InputShape(6)}
    inputs = {"eeg": torch.randn(2, 4, 6)}

    def make() -> nn.Module:
        return build(name, shapes, 2, width=8, dropout=0.0)

    ensemble = learners(make, shapes, members_of(2, 4), backend="looped")
    batch = labelled_batch(inputs, torch.arange(8).reshape(2, 4) % 2)
    gradient, loss, _ = gradients_of(ensemble, batch)

    for f in range(2):
        network = make()
        network.load_state_dict({n.removeprefix("network."): value for n, value in ensemble.state_of(f).items()})
        prediction = network({"eeg": inputs["eeg"][f]}).prediction
        expected = nn.functional.cross_entropy(prediction, batch.target[f])
        expected.backward()
        torch.testing.assert_close(loss[f], expected.detach())
        flat = torch.cat([parameter.grad.reshape(-1) for parameter in network.parameters()])
        torch.testing.assert_close(gradient[f], flat)


def test_fine_tuning_gives_the_published_size_and_leaves_the_backbone_alone() -> None:
    backbone = build("fear_cnn", DEAP, 10)
    before = copy.deepcopy(backbone.state_dict())

    teacher = with_new_head(backbone, 4)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(1.0)

    assert count_parameters(teacher) == 198_260 - 1_024
    torch.testing.assert_close(backbone.state_dict(), before, rtol=0, atol=0)
