"""SDT: its arithmetic against the layer table, its steps, speakers and heads of single modalities."""

from __future__ import annotations

import math

import pytest
import torch
from cases.sdt import SHAPES, SMALL
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters
from limbeck.models.sdt import SDT

TALK = {
    "text": InputShape(5, 6, 1.0),
    "audio": InputShape(3, 6, 1.0),
    "visual": InputShape(2, 6, 1.0),
    "speaker": InputShape(2, 6, 1.0),
}


def a_conversation(batch: int = 3) -> dict[str, Tensor]:
    """Return random utterances, each by one of two speakers."""
    torch.manual_seed(3)
    inputs = {name: torch.randn(shape.zeros(batch).shape) for name, shape in TALK.items()}
    inputs["speaker"] = nn.functional.one_hot(torch.randint(2, (batch, 6)), 2).float().transpose(1, 2)
    return inputs


def position_code(steps: int, width: int) -> Tensor:
    """Return sines in even and cosines in odd columns, number by number."""
    code = torch.zeros(steps, width)
    for step in range(steps):
        for column in range(width):
            angle = step / 10_000 ** (2 * (column // 2) / width)
            code[step, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return code


def attend(target: Tensor, source: Tensor, state: dict[str, Tensor], prefix: str, heads: int) -> Tensor:
    """Return multi-head attention, a head at a time."""
    q, k, v = (
        nn.functional.linear(x, state[f"{prefix}.{part}.weight"], state[f"{prefix}.{part}.bias"])
        for part, x in (("query", target), ("key", source), ("value", source))
    )
    width = q.shape[-1] // heads
    parts = []
    for head in range(heads):
        columns = slice(head * width, (head + 1) * width)
        scores = torch.einsum("bid,bjd->bij", q[..., columns], k[..., columns]) / math.sqrt(width)
        parts.append(torch.einsum("bij,bjd->bid", torch.softmax(scores, dim=2), v[..., columns]))
    return nn.functional.linear(torch.cat(parts, dim=2), state[f"{prefix}.out.weight"], state[f"{prefix}.out.bias"])


def reference(inputs: dict[str, Tensor], state: dict[str, Tensor], heads: int) -> dict[str, Tensor]:
    """Follow the layer table utterance by utterance: the fused prediction and that of each modality."""
    names = [name for name in inputs if name != "speaker"]
    width = state["head.weight"].shape[1]
    who = inputs["speaker"].argmax(dim=1)
    streams = {
        name: torch.einsum("bcl,fc->blf", inputs[name], state[f"tokens.{name}.spans.weight"][..., 0])
        + position_code(6, width)
        + state["speakers"][who]
        for name in names
    }
    unimodal = {}
    for target in names:
        gated = []
        for source in names:
            prefix = f"transformers.{target}_{source}"
            x = streams[target] + attend(streams[target], streams[source], state, f"{prefix}.attention", heads)
            mean, spread = x.mean(2, keepdim=True), x.var(2, unbiased=False, keepdim=True)
            h = (x - mean) / torch.sqrt(spread + 1e-6)
            h = h * state[f"{prefix}.before_layers.weight"] + state[f"{prefix}.before_layers.bias"]
            h = nn.functional.linear(h, state[f"{prefix}.widen.weight"], state[f"{prefix}.widen.bias"])
            h = 0.5 * h * (1 + torch.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
            h = nn.functional.linear(h, state[f"{prefix}.narrow.weight"], state[f"{prefix}.narrow.bias"]) + x
            gated.append(h * torch.sigmoid(h @ state[f"gates.{target}_{source}.weight"].T))
        weight, bias = state[f"reduce.{target}.weight"], state[f"reduce.{target}.bias"]
        unimodal[target] = torch.cat(gated, dim=2) @ weight.T + bias
    scores = {name: torch.exp(h @ state["fuse.weight"].T) for name, h in unimodal.items()}
    fused = sum(scores[name] * unimodal[name] for name in names) / sum(scores.values())
    found = {"prediction": fused @ state["head.weight"].T + state["head.bias"]}
    for name in names:
        found[name] = unimodal[name].clamp(min=0) @ state[f"students.{name}.weight"].T + state[f"students.{name}.bias"]
    return found


def test_the_released_network_follows_its_layer_table() -> None:
    torch.manual_seed(0)
    options = {"width": 8, "heads": 2, "frames": 6, "n_speakers": 2, "answers": True, "as_released": True}
    model = build("sdt", TALK, 4, n_steps=6, **options).eval()
    inputs = a_conversation()

    outputs = model(inputs)
    expected = reference(inputs, model.state_dict(), heads=2)

    assert outputs.prediction.shape == (3, 6, 4)
    torch.testing.assert_close(outputs.prediction, expected["prediction"], rtol=1e-5, atol=1e-5)
    for name in ("text", "audio", "visual"):
        torch.testing.assert_close(outputs.features[f"logits_{name}"], expected[name], rtol=1e-5, atol=1e-5)


def test_what_the_released_network_counts_more_has_no_effect() -> None:
    torch.manual_seed(0)
    options = {"width": 8, "heads": 2, "frames": 6, "n_speakers": 2}
    released = build("sdt", TALK, 4, **options, as_released=True).double().eval()
    mended = build("sdt", TALK, 4, **options).double().eval()
    kept = {name: value for name, value in released.state_dict().items() if name in mended.state_dict()}
    mended.load_state_dict({**kept, "speakers": kept["speakers"][:2]})
    inputs = {name: x.double() for name, x in a_conversation().items()}

    torch.testing.assert_close(released(inputs).prediction, mended(inputs).prediction, rtol=1e-12, atol=1e-12)
    # per transformer a normalisation and the bias of the keys; the padding row of the speakers
    assert count_parameters(released) - count_parameters(mended) == 9 * (2 * 8 + 8) + 8
    released(inputs).prediction.square().sum().backward()
    assert not released.speakers.grad[2].any()
    assert released.speakers.grad[:2].any()


def test_one_prediction_per_window_reads_the_mean_of_the_steps() -> None:
    torch.manual_seed(0)
    model = build("sdt", SHAPES, 3, **SMALL, answers=True).eval()
    inputs = {name: torch.randn(shape.zeros(2).shape) for name, shape in SHAPES.items()}
    outputs = model(inputs)

    torch.testing.assert_close(outputs.features["embedding"], outputs.features["fused"].mean(dim=1))
    assert outputs.prediction.shape == outputs.features["logits_eda"].shape == (2, 3)


def test_answers_of_single_modalities_are_trained_by_losses_on_them_alone() -> None:
    torch.manual_seed(0)
    model = build("sdt", SHAPES, 3, **SMALL, answers=True)
    outputs = model({name: torch.randn(shape.zeros(4).shape) for name, shape in SHAPES.items()})

    outputs.prediction.sum().backward(retain_graph=True)
    unreached = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unreached == {f"students.{name}.{part}" for name in SHAPES for part in ("weight", "bias")}
    assert list(SDT.idle) == ["students.*"]

    outputs.features["logits_acc"].sum().backward()
    assert model.students["acc"].weight.grad.any()
    assert model.students["eda"].weight.grad is None


@pytest.mark.parametrize(("length", "steps", "span"), [(240, 32, 7), (32, 32, 1), (20, 32, 1), (3840, 32, 120)])
def test_signals_of_any_length_come_to_the_common_steps(length: int, steps: int, span: int) -> None:
    shapes = {"eda": InputShape(2, length, 4.0), "bvp": InputShape(1, 64, 4.0)}
    model = build("sdt", shapes, 2, width=8, heads=2, frames=steps).eval()
    outputs = model({name: shape.zeros(1) for name, shape in shapes.items()})

    assert outputs.features["eda"].shape == (1, steps, 8)
    assert model.tokens["eda"].spans.kernel_size == (span,)


def test_a_signal_of_one_sample_per_step_is_read_as_it_is() -> None:
    torch.manual_seed(0)
    model = build("sdt", SHAPES, 2, **SMALL)
    x = torch.randn(2, 1, 4)

    found = model.tokens["eda"](x)

    torch.testing.assert_close(found, x.transpose(1, 2) @ model.tokens["eda"].spans.weight[..., 0].T)


def test_steps_of_the_prediction_divide_those_of_the_sequence() -> None:
    shapes = {"eda": InputShape(1, 100, 4.0), "acc": InputShape(3, 200, 8.0)}
    model = build("sdt", shapes, 1, n_steps=10, width=8, heads=2, frames=32).eval()
    outputs = model({name: shape.zeros(2) for name, shape in shapes.items()})

    assert model.steps == 30
    assert outputs.prediction.shape == (2, 10, 1)


def test_the_gate_without_a_matrix_reads_its_input() -> None:
    learnt, identity = (build("sdt", SHAPES, 2, **SMALL, gate=gate) for gate in ("learnt", "identity"))

    assert count_parameters(learnt) - count_parameters(identity) == 4 * 8 * 8


def test_what_it_cannot_read_is_refused() -> None:
    with pytest.raises(LimbeckError, match="at least 2 modalities"):
        build("sdt", {"eda": SHAPES["eda"]}, 2)
    with pytest.raises(LimbeckError, match="2 samples or more; 'eda' has 1"):
        build("sdt", {**SHAPES, "eda": InputShape(1, 1, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="needs 'speaker' with 3 channels"):
        build("sdt", TALK, 2, n_speakers=3)
    with pytest.raises(LimbeckError, match="at least 2 modalities next to 'speaker'"):
        build("sdt", {name: TALK[name] for name in ("text", "speaker")}, 2, n_speakers=2)
    with pytest.raises(LimbeckError, match="gate is 'open'; expected one of learnt, identity"):
        build("sdt", SHAPES, 2, gate="open")
    with pytest.raises(LimbeckError, match="frames is 1"):
        build("sdt", SHAPES, 2, frames=1)
    with pytest.raises(LimbeckError, match="heads is 3"):
        build("sdt", SHAPES, 2, width=8, heads=3)
