"""PKDOT: the transformer against PyTorch's own attention, T-Net, the mended faults."""

from __future__ import annotations

import pytest
import torch
from cases.pkdot import ADAPTER, MT_T_NET, SHAPES, SMALL, STUDENT, T_NET, TRANSFORMER
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters
from limbeck.models.layers import Attention
from limbeck.models.pkdot import SHARES, Adapter, MultimodalTransformer, TNet

EMBEDDED = {"video": InputShape(8, 5, 1.0), "emg": InputShape(8, 5, 1.0)}


def torchs_own(attention: Attention) -> nn.MultiheadAttention:
    """Return PyTorch's attention with the same weights."""
    width = attention.out.weight.shape[0]
    own = nn.MultiheadAttention(width, attention.heads, batch_first=True).eval()
    parts = (attention.query, attention.key, attention.value)
    with torch.no_grad():
        own.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        own.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    own.out_proj.load_state_dict(attention.out.state_dict())
    return own


def reference(transformer: MultimodalTransformer, visual: Tensor, physio: Tensor) -> tuple[Tensor, Tensor]:
    """Follow the layer table with PyTorch's attention, batch first."""
    encoded = []
    for encoder, x in ((transformer.first, visual), (transformer.second, physio)):
        (block,) = encoder
        h = nn.functional.layer_norm(
            x + torchs_own(block.attention)(x, x, x)[0],
            x.shape[-1:],
            block.after_attention.weight,
            block.after_attention.bias,
        )
        further = (h @ block.widen.weight.T + block.widen.bias).clamp(min=0) @ block.narrow.weight.T + block.narrow.bias
        encoded.append(
            nn.functional.layer_norm(h + further, x.shape[-1:], block.after_layers.weight, block.after_layers.bias)
        )
    v, p = encoded
    of_v = torchs_own(transformer.cross_first)(p, v, v)[0]
    of_p = torchs_own(transformer.cross_second)(v, p, p)[0]
    gate = torch.sigmoid(torch.cat([of_v, of_p], dim=2) @ transformer.gate.weight.T + transformer.gate.bias)
    return gate * of_v + (1 - gate) * of_p, gate[..., 0]


def test_the_transformer_follows_its_layer_table() -> None:
    torch.manual_seed(0)
    model = build(
        "pkdot_teacher", EMBEDDED, 3, width=8, heads=2, feed_forward=6, embedded=True, as_released=True
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape))
    inputs = {name: torch.randn(shape.zeros(3).shape) for name, shape in EMBEDDED.items()}
    video, emg = (inputs[name].transpose(1, 2) + model.positions for name in EMBEDDED)

    outputs = model(inputs)
    joint, gate = reference(model.transformer, video, emg)

    torch.testing.assert_close(outputs.features["joint"], joint.mean(dim=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(outputs.features["gate"], gate, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(outputs.prediction, model.head(joint.mean(dim=1)), rtol=1e-5, atol=1e-5)


def test_a_single_token_per_window_has_no_place() -> None:
    one = {name: InputShape(8, 1, 1.0) for name in EMBEDDED}

    assert not build("pkdot_teacher", one, 2, width=8, embedded=True).positions.any()
    assert build("pkdot_teacher", EMBEDDED, 2, width=8, embedded=True).positions.any()


def test_the_bias_of_keys_has_no_effect() -> None:
    torch.manual_seed(0)
    released = build("pkdot_teacher", SHAPES, 3, **SMALL, as_released=True).double().eval()
    mended = build("pkdot_teacher", SHAPES, 3, **SMALL).double().eval()
    for name, parameter in released.named_parameters():
        if name.endswith("key.bias"):
            nn.init.normal_(parameter)
    mended.load_state_dict({n: v for n, v in released.state_dict().items() if n in mended.state_dict()})
    inputs = {name: torch.randn(shape.zeros(3).shape).double() for name, shape in SHAPES.items()}

    torch.testing.assert_close(released(inputs).prediction, mended(inputs).prediction, rtol=1e-12, atol=1e-12)
    assert count_parameters(released) - count_parameters(mended) == 4 * SMALL["width"]


def test_a_window_does_not_depend_on_its_companions_in_training_either() -> None:
    torch.manual_seed(0)
    model = build("pkdot_teacher", SHAPES, 3, **SMALL, as_released=True).train()
    inputs = {name: torch.randn(shape.zeros(4).shape) for name, shape in SHAPES.items()}

    alone = model({name: x[:1] for name, x in inputs.items()}).prediction
    torch.testing.assert_close(alone[0], model(inputs).prediction[0], rtol=1e-5, atol=1e-6)


def test_depth_is_used() -> None:
    one, three = (count_parameters(build("pkdot_teacher", SHAPES, 2, **SMALL, depth=depth)) for depth in (1, 3))
    block = 4 * 8 * 8 + 3 * 8 + 2 * 8 * 12 + 12 + 8 + 4 * 8

    assert three - one == 2 * 2 * block


def test_published_sizes_of_the_parts() -> None:
    def hidden(which: str) -> list[int]:
        return [round(512 * share) for share in SHARES[which]]

    def plain(which: str) -> TNet:
        return TNet(512, hidden(which), between=nn.ReLU(), last=nn.Identity())

    assert hidden("pkdot") == [256, 128, 256]
    assert hidden("mt_pkdot") == [2048, 1024, 512, 256, 512, 1024, 2048]
    assert count_parameters(plain("pkdot")) == T_NET
    assert count_parameters(plain("mt_pkdot")) == MT_T_NET
    assert count_parameters(Adapter(512)) == ADAPTER
    transformer = MultimodalTransformer(width=512, heads=2, feed_forward=512, key_bias=True)
    assert count_parameters(transformer) + 513 * 2 == TRANSFORMER


def a_student(**options: object) -> tuple[nn.Module, Tensor]:
    """Return a student, and what its T-Net makes of three windows."""
    torch.manual_seed(0)
    model = build("pkdot_student", STUDENT, 2, **SMALL, **options).eval()
    with torch.no_grad():
        for parameter in model.t_net.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return model, model({"eda": torch.randn(3, 1, 8)}).features["pseudo"]


def test_the_released_t_net_returns_shares_and_the_mended_one_any_value() -> None:
    _, released = a_student(as_released=True)
    _, mended = a_student()

    assert released.min() >= 0
    assert released.max() <= 1
    assert mended.min() < 0
    torch.testing.assert_close(released, torch.sigmoid(mended), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("as_released", [True, False])
def test_the_released_large_t_net_is_one_linear_map(as_released: bool) -> None:
    model, _ = a_student(t_net="mt_pkdot", as_released=as_released)
    a, b = torch.randn(2, 4, 8)
    zero = model.t_net(torch.zeros(4, 8))
    joined, apart = model.t_net(a + b) - zero, (model.t_net(a) - zero) + (model.t_net(b) - zero)

    assert torch.allclose(joined, apart, rtol=1e-3, atol=1e-2 * float(joined.detach().abs().max())) is as_released


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_t_net_takes_no_gradient(frozen: bool) -> None:
    torch.manual_seed(0)
    model = build("pkdot_student", STUDENT, 2, **SMALL, frozen=frozen)
    model({"eda": torch.randn(3, 1, 8)}).prediction.sum().backward()

    unreached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unreached == ({"t_net"} if frozen else set())


def test_adapters_are_trained_by_losses_on_them_alone() -> None:
    torch.manual_seed(0)
    model = build("pkdot_teacher", SHAPES, 3, **SMALL, adapters=True)
    outputs = model({name: torch.randn(shape.zeros(4).shape) for name, shape in SHAPES.items()})

    outputs.prediction.sum().backward(retain_graph=True)
    unreached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is None}
    assert unreached == {pattern.split(".")[0] for pattern in type(model).idle} == {"adapters", "sides"}

    (outputs.features["logits_eda"].sum() + outputs.features["adapted_acc"].sum()).backward()
    assert outputs.features["logits_eda"].shape == (4, 3)
    assert outputs.features["adapted_acc"].shape == (4, 8)
    assert model.adapters["eda"].narrow.weight.grad.any()
    assert model.adapters["acc"].narrow.weight.grad.any()


def test_the_student_takes_the_place_of_its_teacher() -> None:
    teacher, student = build("pkdot_teacher", SHAPES, 2, **SMALL), build("pkdot_student", STUDENT, 2, **SMALL)
    found = student.load_state_dict(
        {n: v for n, v in teacher.state_dict().items() if not n.startswith("backbones.acc")}, strict=False
    )

    assert not found.unexpected_keys
    assert {name.split(".")[0] for name in found.missing_keys} == {"t_net"}


@pytest.mark.parametrize(("length", "frames", "tokens"), [(8, 32, 20), (8, 4, 4), (1000, 32, 32)])
def test_signals_of_any_length_become_as_many_tokens(length: int, frames: int, tokens: int) -> None:
    shapes = {"eda": InputShape(1, length, 4.0), "emg": InputShape(2, 20, 4.0)}
    model = build("pkdot_teacher", shapes, 2, width=8, frames=frames).eval()
    features = model({name: shape.zeros(1) for name, shape in shapes.items()}).features

    assert features["eda"].shape == features["emg"].shape == (1, tokens, 8)


def test_what_it_cannot_read_is_refused() -> None:
    with pytest.raises(LimbeckError, match="8 samples or more; 'eda' has 7"):
        build("pkdot_student", {"eda": InputShape(1, 7, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="at most 2 modalities"):
        build("pkdot_teacher", {**SHAPES, "bvp": InputShape(1, 8, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="embedded needs 64 channels"):
        build("pkdot_teacher", EMBEDDED, 2, embedded=True)
    with pytest.raises(LimbeckError, match="same number of steps"):
        build("pkdot_teacher", {**EMBEDDED, "emg": InputShape(8, 6, 1.0)}, 2, width=8, embedded=True)
    with pytest.raises(LimbeckError, match="t_net is 'small'; expected one of pkdot, mt_pkdot"):
        build("pkdot_student", STUDENT, 2, t_net="small")
    with pytest.raises(LimbeckError, match="frames is 1"):
        build("pkdot_student", STUDENT, 2, frames=1)
    with pytest.raises(LimbeckError, match="depth is 0"):
        build("pkdot_student", STUDENT, 2, depth=0)
