"""The recurrent baselines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters

EDA = {"eda": InputShape(1, 2816, 512.0)}


def recur(state: dict[str, Tensor], name: str, x: np.ndarray) -> np.ndarray:
    """Return what a layer says at each step of (steps, inputs), from the equations of the LSTM."""
    weight_in, weight_back, bias_in, bias_back = (
        state[f"{name}.{key}_l0"].numpy() for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1.0 / (1.0 + np.exp(-z))

    width = weight_back.shape[1]
    hidden, cell, said = np.zeros(width), np.zeros(width), []
    for step in x:
        gates = weight_in @ step + bias_in + weight_back @ hidden + bias_back
        take, forget, new, give = np.split(gates, 4)
        cell = sigmoid(forget) * cell + sigmoid(take) * np.tanh(new)
        hidden = sigmoid(give) * np.tanh(cell)
        said.append(hidden)
    return np.stack(said)


def test_the_lstm_is_its_equations_on_averages_of_16_samples() -> None:
    torch.manual_seed(0)
    model = build("lstm", {"eda": InputShape(2, 330, 512.0)}, 3, hidden=8).eval()
    x = torch.randn(1, 2, 330)
    state = model.state_dict()

    thin = x[0, :, :320].reshape(2, 20, 16).mean(-1).T.numpy()
    said = recur(state, "layers.1", recur(state, "layers.0", thin))
    prediction = said[-1] @ state["head.weight"].numpy().T + state["head.bias"].numpy()
    found = model({"eda": x})

    np.testing.assert_allclose(found.features["sequence"][0].detach().numpy(), said, atol=1e-5)
    np.testing.assert_allclose(found.features["hidden"][0].detach().numpy(), said[-1], atol=1e-5)
    np.testing.assert_allclose(found.prediction[0].detach().numpy(), prediction, atol=1e-5)


@pytest.mark.parametrize(
    ("length", "rate", "options", "steps"),
    [
        (2816, 512.0, {}, 176),
        (240, 4.0, {}, 240),
        (3840, 64.0, {}, 1920),
        (2500, 250.0, {}, 312),
        (3840, 64.0, {"frequency": 4.0}, 240),
    ],
)
def test_a_signal_is_thinned_to_about_the_frequency(
    length: int, rate: float, options: dict[str, float], steps: int
) -> None:
    model = build("lstm", {"eda": InputShape(1, length, rate)}, 2, hidden=4, depth=1, **options).eval()

    assert model({"eda": torch.zeros(1, 1, length)}).features["sequence"].shape == (1, steps, 4)


def test_dropout_lies_between_the_layers_of_the_lstm() -> None:
    model = build("lstm", {"eda": InputShape(1, 12, 4.0)}, 2, hidden=4, depth=3).train()
    x = torch.randn(2, 1, 12)
    before = model({"eda": x}).prediction

    assert len(model.between) == 2
    for place in model.between:
        place.mask = torch.zeros(2, 12, 4)
        assert not torch.equal(model({"eda": x}).prediction, before)
        place.mask = torch.ones(2, 12, 4)


def test_the_lstm_asks_for_two_steps_and_a_frequency() -> None:
    build("lstm", {"eda": InputShape(1, 32, 512.0)}, 2, hidden=4)
    with pytest.raises(LimbeckError, match="32 samples or more at 512 Hz; 'eda' has 31"):
        build("lstm", {"eda": InputShape(1, 31, 512.0)}, 2)
    with pytest.raises(LimbeckError, match="frequency is 0"):
        build("lstm", EDA, 2, frequency=0)


def test_the_cnn_lstm_is_its_layers() -> None:
    torch.manual_seed(0)
    model = build("cnn_lstm", EDA, 2)
    x = torch.randn(2, 1, 2816)
    model.train()({"eda": 3 * x})
    model.eval()
    state = model.state_dict()

    def convolve(h: Tensor, layer: int, stride: int) -> Tensor:
        norm = {key: state[f"norm{layer}.{key}"][:, None] for key in ("weight", "bias", "running_mean", "running_var")}
        h = F.conv1d(h, state[f"conv{layer}.weight"], stride=stride) - norm["running_mean"]
        return F.max_pool1d((h / (norm["running_var"] + 1e-5).sqrt() * norm["weight"] + norm["bias"]).clamp(min=0), 4)

    conv2 = convolve(convolve(x, 1, 4), 2, 2)
    hidden = np.stack([recur(state, "recurrent", window.T.numpy())[-1] for window in conv2])
    found = model({"eda": x})

    assert conv2.shape == (2, 64, 21)
    torch.testing.assert_close(found.features["conv2"], conv2, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.features["hidden"].detach().numpy(), hidden, atol=1e-5)
    expected = hidden @ state["head.weight"].numpy().T + state["head.bias"].numpy()
    np.testing.assert_allclose(found.prediction.detach().numpy(), expected, atol=1e-5)


def test_the_parameters_of_the_cnn_lstm_are_those_of_its_layers() -> None:
    convolutions = 7 * 32 + 2 * 32 + 7 * 32 * 64 + 2 * 64
    assert count_parameters(build("cnn_lstm", EDA, 2)) == convolutions + 4 * 64 * (64 + 64 + 2) + 65 * 2


@pytest.mark.parametrize(("pool", "shortest"), [(4, 339), (2, 107), (1, 39)])
def test_the_cnn_lstm_reads_short_windows_with_a_smaller_pool(pool: int, shortest: int) -> None:
    model = build("cnn_lstm", {"eda": InputShape(1, shortest, 64.0)}, 2, pool=pool).train()

    assert model({"eda": torch.randn(1, 1, shortest)}).features["conv2"].shape == (1, 64, 2)
    with pytest.raises(LimbeckError, match=rf"{shortest} samples or more; 'eda' has {shortest - 1}"):
        build("cnn_lstm", {"eda": InputShape(1, shortest - 1, 64.0)}, 2, pool=pool)
