"""IR-50 against an independent reading of its layers, its weights from files, and networks of timm."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from limbeck.errors import LimbeckError, ReadError
from limbeck.models import InputShape, count_multiply_adds, count_parameters
from limbeck.models.ir50 import IR50, TimmEncoder, convert_weights, frame_encoder, frame_shape

DEPTH = (1, 2, 2, 1)
SMALL = {"width": 2, "depth": DEPTH, "embedding": 5}
WIDTHS = (2, 2, 4, 8, 16)


def published_state(seed: int = 0, *, pixels: int = 2) -> dict[str, Tensor]:
    """Return weights of a small IR-50 of three colours under their published names, running statistics included."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def draw(name: str, *shape: int) -> None:
        state[name] = 0.5 * torch.randn(shape, generator=generator)

    def norm(path: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean"):
            draw(f"{path}.{part}", channels)
        state[f"{path}.running_var"] = 0.5 + torch.rand(channels, generator=generator)
        state[f"{path}.num_batches_tracked"] = torch.tensor(7)

    draw("input_layer.0.weight", 2, 3, 3, 3)
    norm("input_layer.1", 2)
    draw("input_layer.2.weight", 2)
    unit = 0
    for stage, units in enumerate(DEPTH):
        for place in range(units):
            inputs, width = (WIDTHS[stage] if place == 0 else WIDTHS[stage + 1]), WIDTHS[stage + 1]
            path = f"body.{unit}"
            norm(f"{path}.res_layer.0", inputs)
            draw(f"{path}.res_layer.1.weight", width, inputs, 3, 3)
            draw(f"{path}.res_layer.2.weight", width)
            draw(f"{path}.res_layer.3.weight", width, width, 3, 3)
            norm(f"{path}.res_layer.4", width)
            if inputs != width:
                draw(f"{path}.shortcut_layer.0.weight", width, inputs, 1, 1)
                norm(f"{path}.shortcut_layer.1", width)
            unit += 1
    norm("output_layer.0", 16)
    draw("output_layer.3.weight", 5, 16 * pixels)
    draw("output_layer.3.bias", 5)
    norm("output_layer.4", 5)
    return state


def reference(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The published layers in evaluation, in float64."""
    p = {name: value.double() for name, value in state.items()}

    def norm(path: str, x: Tensor) -> Tensor:
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var, weight, bias = (
            p[f"{path}.{part}"].view(shape) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias

    def prelu(path: str, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, x * p[f"{path}.weight"].view(1, -1, 1, 1))

    x = prelu("input_layer.2", norm("input_layer.1", F.conv2d(x.double(), p["input_layer.0.weight"], padding=1)))
    unit = 0
    for stage, units in enumerate(DEPTH):
        for place in range(units):
            path, stride = f"body.{unit}", 2 if stage and not place else 1
            h = norm(f"{path}.res_layer.0", x)
            h = prelu(f"{path}.res_layer.2", F.conv2d(h, p[f"{path}.res_layer.1.weight"], padding=1))
            h = norm(f"{path}.res_layer.4", F.conv2d(h, p[f"{path}.res_layer.3.weight"], stride=stride, padding=1))
            if f"{path}.shortcut_layer.0.weight" in p:
                x = norm(f"{path}.shortcut_layer.1", F.conv2d(x, p[f"{path}.shortcut_layer.0.weight"], stride=stride))
            else:
                x = F.max_pool2d(x, 1, stride)
            x, unit = x + h, unit + 1
    x = norm("output_layer.0", x).flatten(1) @ p["output_layer.3.weight"].T + p["output_layer.3.bias"]
    x = norm("output_layer.4", x)
    return x / x.norm(dim=1, keepdim=True)


@pytest.fixture
def frames() -> Tensor:
    return torch.randn(4, 3, 9, 8, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves weights as torch does."""

    def save(state: object, name: str = "published.pth") -> Path:
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return save


def test_the_published_network_has_its_parameters_and_groups() -> None:
    with torch.device("meta"):
        encoder = IR50(3, 40, 40)

    sizes = {name: value.numel() for name, value in encoder.named_parameters()}
    groups = {group: sum(sizes[name] for name in names) for group, names in encoder.parts().items()}
    assert count_parameters(encoder) == 37_283_520
    assert list(groups) == ["output", "stage4", "stage3_end", "rest"]
    assert (groups["output"], groups["stage4"], groups["stage3_end"]) == (6_556_160, 13_115_392, 3_542_784)
    assert sum(groups.values()) == 37_283_520


def test_a_frame_costs_what_is_published() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        encoder = IR50(3, 40, 40).eval()
        with FlopCounterMode(display=False) as counter:
            encoder(torch.zeros(1, 3, 40, 40))
    assert counter.get_total_flops() / 2e9 == pytest.approx(3.03, abs=0.005)


@pytest.mark.parametrize("place", ["", "backbone.", "module.spatial."])
def test_converted_weights_compute_the_published_layers(
    place: str, frames: Tensor, published: Callable[..., Path], tmp_path: Path
) -> None:
    state = published_state(pixels=2)
    others = {"logits.weight": torch.ones(8, 5), "temporal.network.0.conv1.bias": torch.ones(3)}
    source = published({**{f"{place}{name}": value for name, value in state.items()}, **others})

    file = convert_weights(source, tmp_path / "weights" / "ir50.safetensors", depth=DEPTH)

    encoder = frame_encoder("ir50", 3, 9, 8, weights=file, **SMALL).eval()
    with torch.no_grad():
        found = encoder(frames)
    torch.testing.assert_close(found, reference(state, frames).float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))


def test_an_output_layer_for_other_frames_can_be_left_out(published: Callable[..., Path], tmp_path: Path) -> None:
    state = published_state(pixels=9)
    source, target = published(state), tmp_path / "ir50.safetensors"

    convert_weights(source, target, depth=DEPTH)
    with pytest.raises(
        ReadError, match=r"'output.linear.weight' of shape \(5, 144\) instead of \(5, 32\).*output=Fals"
    ):
        frame_encoder("ir50", 3, 9, 8, weights=target, **SMALL)

    convert_weights(source, target, depth=DEPTH, output=False)
    encoder = frame_encoder("ir50", 3, 9, 8, weights=str(target), **SMALL)
    assert torch.equal(encoder.state_dict()["body.stem.0.weight"], state["input_layer.0.weight"])
    assert torch.equal(encoder.state_dict()["output.norm_in.weight"], torch.ones(16))


class Unwelcome:
    """Something that runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("it ran",))


def test_a_pickle_that_holds_more_than_tensors_is_refused(
    published: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "ir50.safetensors"
    with pytest.raises(ReadError, match="no plain weights"):
        convert_weights(published({"input_layer.0.weight": Unwelcome()}), target)
    with pytest.raises(ReadError, match="a state dict of tensors"):
        convert_weights(published([1, 2]), target)
    (tmp_path / "noise.pth").write_bytes(b"no weights at all")
    with pytest.raises(ReadError, match=r"noise\.pth"):
        convert_weights(tmp_path / "noise.pth", target)
    assert capsys.readouterr().out == ""
    assert not target.exists()


def test_weights_of_another_network_are_refused_by_name(published: Callable[..., Path], tmp_path: Path) -> None:
    target = tmp_path / "ir50.safetensors"
    with pytest.raises(ReadError, match=r"weights 'layer1.0.conv1.weight'.*IR-50"):
        convert_weights(published({"layer1.0.conv1.weight": torch.ones(2)}), target)
    with pytest.raises(ReadError, match=r"'body\.6\.res_layer"):
        convert_weights(published({"body.6.res_layer.1.weight": torch.ones(2)}), target, depth=DEPTH)
    with pytest.raises(ReadError, match="no weights"):
        convert_weights(published({"logits.bias": torch.ones(2)}), target)
    with pytest.raises(LimbeckError, match="There is no file"):
        convert_weights(tmp_path / "none.pth", target)
    with pytest.raises(LimbeckError, match=r"end in \.safetensors"):
        convert_weights(published({}), tmp_path / "ir50.pth")


def test_weights_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    whole = IR50(3, 9, 8, **SMALL).state_dict()
    file = tmp_path / "weights.safetensors"

    def refuses(state: dict[str, Tensor], match: str) -> None:
        save_file(state, file)
        with pytest.raises(ReadError, match=match):
            frame_encoder("ir50", 3, 9, 8, weights=file, **SMALL)

    refuses({k: v for k, v in whole.items() if k != "body.stem.0.weight"}, r"without 'body\.stem\.0\.weight'")
    refuses({k: v for k, v in whole.items() if k != "output.linear.bias"}, r"without 'output\.linear\.bias'")
    refuses({**whole, "extra": torch.ones(1)}, "with unknown 'extra'")
    refuses({**whole, "body.stem.0.weight": torch.ones(1)}, r"\(1,\) instead of \(2, 3, 3, 3\)")
    save_file({k: v for k, v in whole.items() if not k.endswith("num_batches_tracked")}, file)
    frame_encoder("ir50", 3, 9, 8, weights=file, **SMALL)
    file.write_bytes(b"no weights")
    with pytest.raises(ReadError, match="expected a safetensors file"):
        frame_encoder("ir50", 3, 9, 8, weights=file, **SMALL)
    with pytest.raises(LimbeckError, match=r"no \.safetensors file; .*convert_weights"):
        frame_encoder("ir50", 3, 9, 8, weights=Path(__file__), **SMALL)
    with pytest.raises(LimbeckError, match="There is no file of weights"):
        frame_encoder("ir50", 3, 9, 8, weights="none.safetensors", **SMALL)


def test_portions_change_nothing_but_the_memory(frames: Tensor) -> None:
    whole, portions = (IR50(3, 9, 8, **SMALL, chunk=chunk) for chunk in (0, 3))
    portions.load_state_dict(whole.state_dict())
    seen: list[int] = []
    portions.body.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))

    torch.testing.assert_close(portions.eval()(frames), whole.eval()(frames))
    assert seen == [3, 1]
    torch.testing.assert_close(portions.train()(frames), whole.train()(frames))
    assert seen[2:] == [4], "batch normalisation looks at all of them"
    for count, expected in ((0, [3, 1]), (1, [3, 1]), (2, [4])):
        seen.clear()
        portions.release(count)
        portions(frames)
        assert seen == expected


def test_held_groups_sleep_and_keep_their_statistics(frames: Tensor) -> None:
    encoder = IR50(3, 9, 8, **SMALL).train()
    before = {name: value.clone() for name, value in encoder.named_buffers()}

    encoder.release(2)
    encoder(frames)
    moved = {n for n, b in encoder.named_buffers() if n.endswith("_mean") and not torch.equal(b, before[n])}
    assert moved
    assert all(name.startswith(("output.", "body.stage4.")) for name in moved)
    assert set(encoder.held()) == {n for n, _ in encoder.named_parameters() if "stage4" not in n and "output" not in n}
    assert not any(value.requires_grad for value in encoder.held().values())

    encoder.release(0)
    assert not any(module.training for name, module in encoder.named_modules() if name)
    encoder.release(0, asleep=False)
    encoder.train()
    assert all(module.training for module in encoder.modules())
    encoder.release(None)
    assert not encoder.held()
    for wrong in (5, -1):
        with pytest.raises(LimbeckError, match=f"released is {wrong}; expected 0 to 4"):
            encoder.release(wrong)


# ---- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "frame", "expected"),
    [
        (4800, (), (3, 40, 40)),
        (1600, (), (1, 40, 40)),
        (3 * 48 * 36, (48, 36), (3, 48, 36)),
        (1600, [40, 40], (1, 40, 40)),
        (4 * 64, (8, 8), (4, 8, 8)),
    ],
)
def test_the_channels_of_a_video_are_pixels(channels: int, frame: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert frame_shape("video", InputShape(channels, 5, 4.0), frame) == expected


@pytest.mark.parametrize(
    ("channels", "frame", "match"),
    [
        (4801, (), "no square frames of 3 colours or of 1"),
        (4800, (40, 41), "no frames of 40 x 41 pixels"),
        (4, (8, 8), "no frames of 8 x 8 pixels"),
        (49, (), "7 x 7 pixels; expected at least 8 x 8"),
        (4800, (40,), r"frame is \[40\]; expected rows and columns"),
        (4800, (0, 40), "expected rows and columns"),
    ],
)
def test_channels_that_are_no_frames_are_refused(channels: int, frame: tuple[int, ...], match: str) -> None:
    with pytest.raises(LimbeckError, match=match):
        frame_shape("video", InputShape(channels, 5, 4.0), frame)


def test_the_smallest_frame_leaves_one_pixel() -> None:
    encoder = IR50(1, 8, 8, **SMALL)
    assert encoder.output.linear.in_features == 16
    assert encoder(torch.randn(2, 1, 8, 8)).shape == (2, 5)


def test_a_backbone_has_four_stages() -> None:
    with pytest.raises(LimbeckError, match="expected units of four stages"):
        IR50(3, 9, 8, depth=(1, 2, 3))


# ---- timm ------------------------------------------------------------------------------------------------------------


class Timmy(nn.Module):
    """What a network of timm looks like from outside."""

    def __init__(self, in_chans: int, num_classes: int, *, pooled: bool) -> None:
        super().__init__()
        self.pretrained_cfg = {"classifier": "fc"}
        self.token = nn.Parameter(torch.randn(1))
        self.stem, self.norm = nn.Conv2d(in_chans, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4)
        self.act = nn.ReLU()
        self.fc = nn.Linear(4, num_classes) if num_classes else nn.Identity()
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.norm(self.stem(x))) + self.token
        return self.fc(h.mean((2, 3))) if self.pooled else h


@pytest.fixture
def fake_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(name: str, pretrained: bool, num_classes: int, in_chans: int) -> nn.Module:
        if name not in ("tiny", "map"):
            raise RuntimeError(f"Unknown model ({name})")
        assert not pretrained, "nothing is downloaded"
        return Timmy(in_chans, num_classes, pooled=name == "tiny")

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(LimbeckError, match=r"'resnet18' comes from timm.*limbeck\[vision\].*'ir50'"):
        frame_encoder("resnet18", 3, 9, 8)


@pytest.mark.usefixtures("fake_timm")
def test_a_network_of_timm_is_a_backbone(tmp_path: Path, frames: Tensor) -> None:
    torch.manual_seed(1)
    file = tmp_path / "model.safetensors"
    save_file(Timmy(3, 10, pooled=True).state_dict(), file)

    encoder = frame_encoder("tiny", 3, 9, 8, weights=file, chunk=3)

    assert isinstance(encoder, TimmEncoder)
    assert encoder.width == 4
    assert encoder.training
    assert encoder.body.training
    assert list(encoder.parts()) == ["norm", "stem", "rest"]
    assert encoder.parts()["rest"] == ("body.token",)
    assert torch.equal(encoder.body.stem.weight, load_file(file)["stem.weight"])
    assert encoder.eval()(frames).shape == (4, 4)
    encoder.train().release(1)
    assert set(encoder.held()) == {"body.stem.weight", "body.token"}
    assert encoder.body.norm.training
    assert not encoder.body.stem.training


@pytest.mark.usefixtures("fake_timm")
def test_what_timm_cannot_do_is_said() -> None:
    with pytest.raises(LimbeckError, match=r"timm makes no backbone 'resnt'.*Unknown model"):
        TimmEncoder("resnt", 3, 9, 8)
    with pytest.raises(LimbeckError, match=r"returns \(4, 4, 3\) for a frame; expected a row"):
        TimmEncoder("map", 3, 9, 8)
    with pytest.raises(LimbeckError, match="does not read frames of 2 x 2 pixels"):
        TimmEncoder("tiny", 3, 2, 2)


def test_the_operations_of_a_video_are_those_of_its_frames() -> None:
    from limbeck.models import build

    video = {"video": InputShape(64, 5, 4.0)}
    model = build("zhang2022_teacher", video, 1, backbone_width=2, backbone_depth=DEPTH, embedding=5, width=6, chunk=2)
    assert count_multiply_adds(model, video) > 5 * 64 * 9 * 2
