"""PainAttnNet against its layer table, written out once more in functions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import Dropout, InputShape, Outputs, build, count_parameters

EDA = {"eda": InputShape(1, 2816, 512.0)}
SMALL = {"width": 4, "hidden": 10, "steps": 12, "heads": 5, "feed_forward": 16}

State = dict[str, Tensor]
Drop = Callable[[str, Tensor], Tensor]

PUBLISHED = {
    "short": {"conv1": (6, 24), "pool": (8, 2, 4), "padding": 4, "last": (4, 4, 2)},
    "medium": {"conv1": (42, 256), "pool": (4, 4, 0), "padding": 3, "last": (2, 2, 1)},
    "long": {"conv1": (84, 512), "pool": (8, 8, 0), "padding": 3, "last": (2, 2, 1)},
}


def reference(state: State, x: Tensor, drop: Drop, *, training: bool, prenorm: bool, depth: int = 2) -> Outputs:
    """The published network, step by step, from the parameters of ours."""

    def bn(name: str, h: Tensor, part: slice = slice(None)) -> Tensor:
        weight, bias, mean, var = (
            state[f"{name}.{key}"][part] for key in ("weight", "bias", "running_mean", "running_var")
        )
        if training:
            mean, var = h.mean(dim=(0, 2)), h.var(dim=(0, 2), correction=0)
        return (h - mean[:, None]) / (var[:, None] + 1e-5).sqrt() * weight[:, None] + bias[:, None]

    def conv(name: str, h: Tensor, part: slice = slice(None), **options: int) -> Tensor:
        bias = state.get(f"{name}.bias")
        weight = state[f"{name}.weight"].squeeze(2)[part]
        return F.conv1d(h, weight, None if bias is None else bias[part], **options)

    def linear(name: str, h: Tensor) -> Tensor:
        return F.linear(h, state[f"{name}.weight"], state.get(f"{name}.bias"))

    def layer_norm(name: str, h: Tensor) -> Tensor:
        centred = h - h.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    found = []
    for size, row in PUBLISHED.items():
        name = f"scales.eda.{size}"
        stride, padding = row["conv1"]
        h = F.gelu(bn(f"{name}.norm1", conv(f"{name}.conv1", x, stride=stride, padding=padding)))
        h = drop(f"{name}.dropout", F.max_pool1d(h, *row["pool"]))
        h = F.gelu(bn(f"{name}.norm2", conv(f"{name}.conv2", h, padding=row["padding"])))
        h = F.gelu(bn(f"{name}.norm3", conv(f"{name}.conv3", h, padding=row["padding"])))
        found.append(linear(f"{name}.resize", F.max_pool1d(h, *row["last"])))
    mscn = drop("dropout", torch.cat(found, dim=1))

    h = F.relu(bn("excitation.norm1", conv("excitation.conv1", mscn)))
    h = bn("excitation.norm2", conv("excitation.conv2", h))
    h = h * torch.sigmoid(linear("excitation.excite", F.relu(linear("excitation.squeeze", h.mean(-1)))))[..., None]
    se = F.relu(h + bn("excitation.shortcut_norm", conv("excitation.shortcut", mscn)))

    x = se
    width = x.shape[1]
    for layer in range(depth):
        name = f"encoder.{layer}"
        units = []
        for unit in range(3):
            own = slice(unit * width, (unit + 1) * width)
            h = conv(f"{name}.units.conv1", x, own, padding=6)[..., :-6]
            h = F.relu(bn(f"{name}.units.norm1", h, own))
            h = bn(f"{name}.units.norm2", conv(f"{name}.units.conv2", h, own, padding=6)[..., :-6], own)
            units.append(F.relu(h + x).transpose(1, 2))
        query, key, value = units
        q = layer_norm(f"{name}.attention_norm", query) if prenorm else query
        q, k, v = (linear(f"{name}.attention.{p}", s) for p, s in (("query", q), ("key", key), ("value", value)))
        each = width // 5
        weights = [
            torch.softmax(q[..., i : i + each] @ k[..., i : i + each].mT / each**0.5, dim=-1)
            for i in range(0, width, each)
        ]
        dropped = drop(f"{name}.attention.dropout", torch.stack(weights, dim=1))
        heads = [dropped[:, i] @ v[..., i * each : (i + 1) * each] for i in range(5)]
        taken = linear(f"{name}.attention.out", torch.cat(heads, dim=-1))
        y = query + drop(f"{name}.after_attention", taken)
        h = F.relu(linear(f"{name}.first", layer_norm(f"{name}.norm", y).transpose(1, 2)))
        h = linear(f"{name}.second", drop(f"{name}.after_first", h)).transpose(1, 2)
        x = (y + drop(f"{name}.after_second", h)).transpose(1, 2)
    encoder = layer_norm("norm", x)
    flat = encoder.flatten(1)
    return Outputs(linear("head", flat), {"mscn": mscn, "se": se, "encoder": encoder, "flat": flat})


def draw_masks(model: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Put a mask into every dropout layer, as training does."""
    generator = torch.Generator().manual_seed(5)
    handles = []
    for module in model.modules():
        if isinstance(module, Dropout):

            def fill(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
                kept = torch.rand(arguments[0].shape, generator=generator) >= module.p
                module.mask = kept / (1 - module.p)

            handles.append(module.register_forward_pre_hook(fill))
    model(inputs)
    for handle in handles:
        handle.remove()


def shaken(model: nn.Module) -> nn.Module:
    """Move every parameter and running statistic away from where it starts."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer += 0.1 * torch.rand(buffer.shape, generator=generator)
    return model


@pytest.fixture
def windows() -> Tensor:
    return torch.randn(3, 1, 2816, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("options", [{"as_released": True}, {}], ids=["as released", "mended"])
def test_in_evaluation_it_is_the_layer_table(options: dict[str, bool], windows: Tensor) -> None:
    torch.manual_seed(0)
    model = shaken(build("pain_attn_net", EDA, 2, **options)).eval()

    found = model({"eda": windows})

    expected = reference(
        model.state_dict(), windows, lambda _, h: h, training=False, prenorm=not options.get("as_released", False)
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"as_released": True}, {}], ids=["as released", "mended"])
def test_in_training_it_is_the_layer_table_given_the_masks(options: dict[str, bool], windows: Tensor) -> None:
    torch.manual_seed(0)
    model = shaken(build("pain_attn_net", EDA, 2, **SMALL, **options)).train()
    draw_masks(model, {"eda": windows})
    masks = {name: module.mask for name, module in model.named_modules() if isinstance(module, Dropout)}
    for size in PUBLISHED:
        masks[f"scales.eda.{size}.dropout"] = masks[f"scales.eda.{size}.dropout"].squeeze(1).transpose(1, 2)
    assert len(masks) == 4 + 2 * 4
    state = {name: value.clone() for name, value in model.state_dict().items()} | dict(model.named_parameters())

    found = model({"eda": windows})
    expected = reference(
        state,
        windows,
        lambda name, h: h * masks[name],
        training=True,
        prenorm=not options.get("as_released", False),
    )

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)
    weights = torch.tensor([[1.0, -2.0], [0.5, 1.5], [-1.0, 0.7]])
    parameters = [p for name, p in model.named_parameters() if "attention_norm" not in name or not options]
    gradients, others = (
        torch.autograd.grad((outputs.prediction * weights).sum(), parameters) for outputs in (found, expected)
    )
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-4)


def test_the_taps_of_the_published_network_have_its_shapes(windows: Tensor) -> None:
    outputs = build("pain_attn_net", EDA, 2).eval()({"eda": windows[:1]})

    assert {name: tuple(value.shape) for name, value in outputs.features.items()} == {
        "mscn": (1, 192, 75),
        "se": (1, 30, 75),
        "encoder": (1, 30, 75),
        "flat": (1, 2250),
    }


def test_the_parts_have_the_published_numbers_of_parameters() -> None:
    model = build("pain_attn_net", EDA, 2, as_released=True)

    scales = model.scales["eda"]
    assert [count_parameters(scales[size]) for size in ("short", "medium", "long")] == [
        134_784 + 4_575,
        98_816 + 975,
        180_736 + 300,
    ]
    assert count_parameters(model.excitation) == 12_720
    assert [count_parameters(layer) for layer in model.encoder] == [60_375, 60_375]
    assert count_parameters(model.encoder[0].units) == 3 * 12_780


def unreached(model: nn.Module, windows: Tensor) -> set[str]:
    model({"eda": windows}).prediction.square().sum().backward()
    return {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}


def test_the_released_layer_normalisation_is_idle_and_the_mended_one_is_not(windows: Tensor) -> None:
    released = unreached(build("pain_attn_net", EDA, 2, **SMALL, as_released=True), windows)
    mended = unreached(build("pain_attn_net", EDA, 2, **SMALL), windows)
    one_fault = unreached(build("pain_attn_net", EDA, 2, **SMALL, as_released=True, prenorm_attn=True), windows)

    idle = {f"encoder.{layer}.attention_norm.{kind}" for layer in (0, 1) for kind in ("weight", "bias")}
    assert idle <= released
    assert not idle & mended
    assert not idle & one_fault


def test_squeeze_and_excitation_has_one_hidden_unit_as_released_and_four_otherwise() -> None:
    def hidden(**options: object) -> int:
        return build("pain_attn_net", EDA, 2, **options).excitation.squeeze.out_features

    assert hidden(as_released=True) == 1
    assert hidden() == 4
    assert hidden(hidden=80) == 5
    assert hidden(as_released=True, se_hidden=7) == 7


@pytest.mark.parametrize(
    ("length", "rate"),
    [(2816, 512.0), (2817, 512.0), (2560, 512.0), (3072, 512.0), (240, 4.0), (3840, 64.0), (16, 4.0)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_windows_of_any_length_rate_and_number_of_channels_are_read(length: int, rate: float, channels: int) -> None:
    shape = {"eda": InputShape(channels, length, rate)}
    model = build("pain_attn_net", shape, 3, **SMALL).train()

    outputs = model({"eda": torch.randn(1, channels, length)})

    assert outputs.prediction.shape == (1, 3)
    assert outputs.features["encoder"].shape == (1, 10, 12)
    assert torch.isfinite(outputs.prediction).all()


def first_layers(shape: InputShape) -> list[tuple[int, int, int]]:
    scales = build("pain_attn_net", {"eda": shape}, 2, **SMALL).scales["eda"].values()
    return [(s.conv1.kernel_size[1], s.conv1.stride[1], s.conv1.padding[1]) for s in scales]


def test_the_first_kernels_keep_their_duration_at_other_rates() -> None:
    published = [(50, 6, 24), (512, 42, 256), (1024, 84, 512)]
    assert first_layers(InputShape(1, 2816, 512.0)) == published
    assert first_layers(InputShape(1, 9000, 512.0)) == published
    assert first_layers(InputShape(1, 1408, 256.0)) == [(25, 3, 12), (256, 21, 128), (512, 42, 256)]
    assert first_layers(InputShape(1, 240, 4.0)) == [(3, 1, 1), (4, 1, 2), (8, 1, 4)]


def test_the_first_kernels_keep_their_share_of_a_short_window() -> None:
    assert first_layers(InputShape(1, 1408, 512.0))[2] == (1024, 84, 512)
    assert first_layers(InputShape(1, 704, 512.0)) == [(25, 3, 12), (256, 21, 128), (512, 42, 256)]


@pytest.mark.parametrize("length", range(16, 200, 7))
def test_batch_normalisation_finds_two_steps_in_the_shortest_windows(length: int) -> None:
    model = build("pain_attn_net", {"eda": InputShape(1, length, 512.0)}, 2, **SMALL).train()

    model({"eda": torch.randn(1, 1, length)})


def test_shorter_windows_are_refused() -> None:
    with pytest.raises(LimbeckError, match="windows of 16 samples or more; 'eda' has 15"):
        build("pain_attn_net", {"eda": InputShape(1, 15, 4.0)}, 2)


def test_modalities_of_different_rates_are_joined_along_the_channels() -> None:
    shapes = {"eda": InputShape(1, 60, 4.0), "bvp": InputShape(2, 960, 64.0)}
    model = build("pain_attn_net", shapes, 2, **SMALL).eval()
    inputs = {name: torch.randn(2, shape.channels, shape.length) for name, shape in shapes.items()}

    outputs = model(inputs)

    assert outputs.features["mscn"].shape == (2, 2 * 3 * 4, 12)
    for name in shapes:
        changed = model({**inputs, name: 1.0 + inputs[name].flip(-1)})
        assert not torch.equal(changed.prediction, outputs.prediction)


def test_a_standardised_window_has_no_level_and_no_scale(windows: Tensor) -> None:
    torch.manual_seed(0)
    model = build("pain_attn_net", EDA, 2, **SMALL, standardise=True).eval()
    raw = build("pain_attn_net", EDA, 2, **SMALL).eval()
    raw.load_state_dict(model.state_dict())

    other = 3.0 + 10.0 * windows
    standard = (windows - windows.mean(-1, keepdim=True)) / windows.std(-1, correction=0, keepdim=True)

    torch.testing.assert_close(model({"eda": other}), model({"eda": windows}), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model({"eda": windows}), raw({"eda": standard}), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(raw({"eda": other}).prediction, raw({"eda": windows}).prediction, atol=1e-3)
    assert torch.isfinite(model({"eda": torch.full_like(windows, 2.0)}).prediction).all()


def test_the_feed_forward_network_mixes_the_axis_asked_for() -> None:
    along_time = build("pain_attn_net", EDA, 2, **SMALL).encoder[0]
    along_channels = build("pain_attn_net", EDA, 2, **SMALL, ffn_axis="channel").encoder[0]

    assert along_time.first.in_features == 12
    assert along_channels.first.in_features == 10
    x = torch.randn(2, 10, 1, 12)
    assert along_channels.eval()(x).shape == along_time.eval()(x).shape == (2, 10, 1, 12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ffn_axis": "batch"}, "ffn_axis is 'batch'; expected one of time, channel"),
        ({"se_hidden": 0}, "se_hidden is 0"),
        ({"heads": 7}, "heads is 7, which does not divide the width of 30"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        build("pain_attn_net", EDA, 2, **options)


def test_weights_start_as_published() -> None:
    torch.manual_seed(0)
    model = build("pain_attn_net", EDA, 2, as_released=True)

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert abs(module.weight.mean()) < 0.003
            assert 0.015 < module.weight.std() < 0.025
        if isinstance(module, nn.BatchNorm2d):
            assert 0.01 < module.weight.std() < 0.04
            assert abs(module.weight.mean() - 1.0) < 0.02
            assert not module.bias.any()
