"""The masked autoencoder: patches, those that are not there, what fills them in, and the task."""

from __future__ import annotations

import pytest
import torch
from cases.masked_autoencoder import SHAPES, SMALL
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters
from limbeck.models.masked_autoencoder import Block, PatchDecoder, PatchEncoder


def windows(batch: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Return random windows of the case."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in SHAPES.items()}


def an_encoder(*, summary: bool = False, seed: int = 0) -> PatchEncoder:
    """Return a small one."""
    torch.manual_seed(seed)
    return PatchEncoder(SHAPES, **SMALL, dropout=0.0, summary=summary).eval()


def test_patches_are_spans_of_all_channels_and_a_rest_is_not_read() -> None:
    encoder = an_encoder()
    inputs = windows()
    patches = encoder.patches(inputs)

    assert (encoder.patch, encoder.n_tokens) == ({"eda": 2, "acc": 4}, {"eda": 4, "acc": 4})
    torch.testing.assert_close(patches["acc"][1, 2], inputs["acc"][1, :, 8:12].flatten())
    torch.testing.assert_close(patches["eda"].flatten(1), inputs["eda"][:, 0])
    changed = {**inputs, "acc": torch.cat([inputs["acc"][..., :16], torch.ones(3, 3, 2)], dim=-1)}
    assert torch.equal(encoder(changed)[0], encoder(inputs)[0])


def test_a_place_is_a_time_whatever_the_rate() -> None:
    shapes = {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0), "temp": InputShape(1, 47, 0.8)}
    encoder = PatchEncoder(shapes, width=8, depth=1, heads=2, feed_forward=8, frames=24, dropout=0.0)
    eda, bvp, temp = (encoder.get_buffer(f"_places_of_{name}") for name in shapes)

    assert encoder.n_tokens == {"eda": 24, "bvp": 24, "temp": 47}
    torch.testing.assert_close(eda, bvp)
    # of 47 patches the middle one lies half way, at place 12 of 24
    torch.testing.assert_close(temp[23, :2], torch.stack([torch.tensor(12.0).sin(), torch.tensor(12.0).cos()]))


def test_blocks_are_those_of_transformers_that_normalise_first() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 12, dropout=0.0).eval()
    own = nn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    parts = (block.attention.query, block.attention.key, block.attention.value)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape))
        own.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        own.self_attn.in_proj_bias.copy_(torch.cat([parts[0].bias, torch.zeros(8), parts[2].bias]))
    own.self_attn.out_proj.load_state_dict(block.attention.out.state_dict())
    own.norm1.load_state_dict(block.before_attention.state_dict())
    own.norm2.load_state_dict(block.before_layers.state_dict())
    own.linear1.load_state_dict(block.widen.state_dict())
    own.linear2.load_state_dict(block.narrow.state_dict())
    x = torch.randn(3, 5, 8)

    torch.testing.assert_close(block(x), own(x), rtol=1e-5, atol=1e-5)
    normal = own.norm1(x)
    _, weights = own.self_attn(normal, normal, normal, average_attn_weights=False)
    torch.testing.assert_close(block.attention_of_first(x), weights[:, :, 0, 1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("summary", [False, True])
def test_a_patch_that_is_not_there_is_read_by_none(summary: bool) -> None:
    encoder, inputs = an_encoder(summary=summary), windows()
    lacking = {name: x.clone() for name, x in inputs.items()}
    lacking["eda"][0, :, 3] = torch.nan  # of the second patch; its other sample says nothing any more
    other = {**lacking, "eda": lacking["eda"].clone()}
    other["eda"][0, :, 2] = 9.0

    (tokens, present), (again, _), (whole, _) = encoder(lacking), encoder(other), encoder(inputs)

    assert present[0].tolist() == [True, False, True, True, True, True, True, True]
    assert present[1:].all()
    torch.testing.assert_close(tokens[0, present[0]], again[0, present[0]])
    assert not torch.allclose(tokens[0, 0], whole[0, 0])
    torch.testing.assert_close(tokens[1:], whole[1:])
    assert tokens.isfinite().all()


def test_an_absent_sensor_leaves_the_others_as_if_they_were_alone() -> None:
    torch.manual_seed(0)
    model = build("masked_autoencoder", SHAPES, 2, **SMALL).eval()
    alone = build("masked_autoencoder", {"acc": SHAPES["acc"]}, 2, **SMALL).eval()
    own = alone.state_dict()
    alone.load_state_dict({name: value for name, value in model.state_dict().items() if name in own})
    inputs = windows()
    lacking = {**inputs, "eda": torch.full_like(inputs["eda"], torch.nan)}

    torch.testing.assert_close(model(lacking).prediction, alone(inputs).prediction, rtol=1e-4, atol=1e-5)
    nothing = {name: torch.full_like(x, torch.nan) for name, x in inputs.items()}
    assert model(nothing).prediction.isfinite().all()


def test_the_summary_shares_its_attention_among_what_is_there() -> None:
    encoder, inputs = an_encoder(summary=True), windows()
    inputs["eda"][0] = torch.nan

    _, attention, present = encoder.read(inputs)

    assert attention.shape == (3, 2, 8)
    assert (attention.sum(dim=-1) < 1).all()  # the rest is for itself
    assert not attention[0, :, ~present[0]].any()
    assert (attention[1] > 0).all()


def test_a_decoder_fills_in_all_patches_from_those_that_were_there() -> None:
    encoder = an_encoder()
    decoder = PatchDecoder(encoder, width=6, depth=1, heads=2, feed_forward=8, dropout=0.0).eval()
    tokens, present = encoder(windows())
    present = present.clone()
    present[:, 2] = False

    filled = decoder(tokens, present)
    changed = decoder(tokens + 5.0 * (~present).unsqueeze(-1), present)

    assert {name: tuple(patch.shape) for name, patch in filled.items()} == {"eda": (3, 4, 2), "acc": (3, 4, 12)}
    torch.testing.assert_close(filled, changed)
    assert not torch.allclose(filled["eda"], decoder(tokens, torch.ones_like(present))["eda"])


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_takes_no_gradient(frozen: bool) -> None:
    model = build("masked_autoencoder", SHAPES, 2, **SMALL, frozen=frozen)
    model(windows()).prediction.square().sum().backward()

    reached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {"head"} | (set() if frozen else {"encoder"})


def test_the_sizes_of_the_parts() -> None:
    block = 4 * 64 * 64 + 3 * 64 + 2 * 64 * 256 + 256 + 64 + 4 * 64
    model = build("masked_autoencoder", {"eda": InputShape(1, 240, 4.0)}, 2)

    assert count_parameters(model) == 11 * 64 + 4 * block + 2 * 64 + 65 * 2


def test_what_it_cannot_read_is_refused() -> None:
    with pytest.raises(LimbeckError, match="8 samples or more; 'eda' has 7"):
        build("masked_autoencoder", {"eda": InputShape(1, 7, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="frames is 1; expected at least 2"):
        build("masked_autoencoder", SHAPES, 2, frames=1)
    with pytest.raises(LimbeckError, match="depth is 0"):
        build("masked_autoencoder", SHAPES, 2, depth=0)
