"""The masked autoencoder: patches, what is hidden, what is filled in, and the way to the task."""

from __future__ import annotations

import pytest
import torch
from cases.masked_autoencoder import SHAPES, SMALL
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters
from limbeck.models.masked_autoencoder import (
    Block,
    MaskedAutoencoderPretext,
    PatchEncoder,
    Reconstruction,
    masking_noise,
    reconstruction_error,
)


def windows(batch: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Return random windows of the case."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in SHAPES.items()}


def a_pretext(mask: float = 0.6, seed: int = 0) -> MaskedAutoencoderPretext:
    """Return a small one."""
    torch.manual_seed(seed)
    return MaskedAutoencoderPretext(SHAPES, **SMALL, decoder_width=6, decoder_heads=2, mask=mask).eval()


def test_patches_are_spans_of_all_channels_and_a_rest_is_not_read() -> None:
    encoder = a_pretext().encoder
    inputs = windows()
    patches = encoder.patches(inputs)

    assert (encoder.patch, encoder.n_tokens) == ({"eda": 2, "acc": 4}, {"eda": 4, "acc": 4})
    torch.testing.assert_close(patches["acc"][1, 2], inputs["acc"][1, :, 8:12].flatten())
    torch.testing.assert_close(patches["eda"].flatten(1), inputs["eda"][:, 0])
    changed = {**inputs, "acc": torch.cat([inputs["acc"][..., :16], torch.ones(3, 3, 2)], dim=-1)}
    assert torch.equal(encoder(changed), encoder(inputs))


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


@pytest.mark.parametrize(("mask", "shown"), [(0.01, 7), (0.5, 4), (0.6, 3), (0.75, 2), (0.99, 1)])
def test_the_tokens_with_the_largest_noise_are_hidden(mask: float, shown: int) -> None:
    noise = masking_noise(3, 8, generator=torch.Generator().manual_seed(1))
    found = a_pretext(mask)(windows(), noise)
    hidden = torch.cat([found.hidden["eda"], found.hidden["acc"]], dim=1)

    assert found.tokens.shape == (3, shown, 8)
    assert (hidden.sum(dim=1) == 8 - shown).all()
    smallest = noise.sort(dim=1).values[:, :shown]
    assert torch.equal(torch.where(hidden > 0, 2.0, noise).sort(dim=1).values[:, :shown], smallest)


def test_nothing_of_a_hidden_patch_is_seen() -> None:
    model, inputs = a_pretext(0.5), windows()
    noise = torch.tensor([[0.1, 0.2, 0.9, 0.8, 0.9, 0.8, 0.3, 0.4]]).expand(3, -1)
    other = {name: x.clone() for name, x in inputs.items()}
    other["eda"][..., 4:], other["acc"][..., :8] = 9.0, -9.0

    before, after = model(inputs, noise), model(other, noise)

    assert torch.equal(before.hidden["eda"][0], torch.tensor([0.0, 0, 1, 1]))
    assert torch.equal(before.hidden["acc"][0], torch.tensor([1.0, 1, 0, 0]))
    torch.testing.assert_close(before.predicted, after.predicted)
    other["eda"][..., 0] = 5.0
    assert not torch.allclose(before.predicted["acc"], model(other, noise).predicted["acc"])


def test_the_order_in_which_tokens_are_drawn_does_not_matter() -> None:
    model, inputs = a_pretext(0.5), windows()
    one = torch.tensor([[0.1, 0.2, 0.9, 0.8, 0.7, 0.3, 0.4, 0.6]]).expand(3, -1)
    other = torch.tensor([[0.4, 0.1, 0.6, 0.9, 0.8, 0.2, 0.3, 0.7]]).expand(3, -1)

    torch.testing.assert_close(model(inputs, one).predicted, model(inputs, other).predicted, rtol=1e-4, atol=1e-5)


def test_targets_are_normalised_patch_by_patch() -> None:
    target = a_pretext()(windows(), masking_noise(3, 8)).target
    for name in SHAPES:
        torch.testing.assert_close(target[name].mean(dim=-1), torch.zeros(3, 4), rtol=0, atol=1e-5)
        torch.testing.assert_close(target[name].var(dim=-1, unbiased=False), torch.ones(3, 4), rtol=0, atol=1e-2)


def test_a_patch_of_a_single_number_stays_as_it_is() -> None:
    shapes = {"eda": InputShape(1, 10, 4.0)}
    x = torch.randn(2, 1, 10)
    found = MaskedAutoencoderPretext(shapes, **{**SMALL, "frames": 10})({"eda": x}, masking_noise(2, 10))

    torch.testing.assert_close(found.target["eda"], x.transpose(1, 2))


def test_the_error_is_that_of_hidden_patches_each_counting_the_same() -> None:
    predicted = {"eda": torch.tensor([[[1.0, 3.0], [5.0, 5.0]]]), "acc": torch.tensor([[[2.0], [7.0]]])}
    target = {name: torch.zeros_like(values) for name, values in predicted.items()}
    hidden = {"eda": torch.tensor([[1.0, 0.0]]), "acc": torch.tensor([[1.0, 0.0]])}

    found = reconstruction_error(Reconstruction(predicted, target, hidden, torch.empty(0)))

    assert found.item() == pytest.approx((5.0 + 4.0) / 2)


@pytest.mark.parametrize("block", [1, 3])
def test_neighbouring_tokens_are_hidden_together(block: int) -> None:
    noise = masking_noise(2, 10, block=block, generator=torch.Generator().manual_seed(0))

    assert noise.shape == (2, 10)
    assert [len(set(row.tolist())) for row in noise] == [-(-10 // block)] * 2
    assert torch.equal(noise, masking_noise(2, 10, block=block, generator=torch.Generator().manual_seed(0)))
    assert (noise[:, : block - 1] == noise[:, 1:block]).all()


def test_it_draws_no_random_numbers_of_its_own() -> None:
    model, noise = a_pretext().train(), masking_noise(3, 8)
    state = torch.random.get_rng_state()
    model(windows(), noise)

    assert torch.equal(state, torch.random.get_rng_state())


def test_many_pretext_networks_go_through_vmap() -> None:
    networks = [a_pretext(seed=seed) for seed in range(3)]
    inputs = {name: torch.stack([windows(seed=seed)[name] for seed in range(3)]) for name in SHAPES}
    noise = torch.stack([masking_noise(3, 8) for _ in networks])
    parameters, buffers = torch.func.stack_module_state([network.requires_grad_(False) for network in networks])

    def error(p: dict[str, Tensor], b: dict[str, Tensor], x: dict[str, Tensor], n: Tensor) -> Tensor:
        return reconstruction_error(torch.func.functional_call(networks[0], (p, b), (x, n)))

    found = torch.vmap(error)(parameters, buffers, inputs, noise)
    expected = [
        reconstruction_error(network({name: x[place] for name, x in inputs.items()}, noise[place]))
        for place, network in enumerate(networks)
    ]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-5, atol=1e-5)


def test_it_learns_to_fill_in_a_pattern() -> None:
    torch.manual_seed(0)
    shapes = {"eda": InputShape(1, 48, 4.0)}
    model = MaskedAutoencoderPretext(shapes, width=16, depth=1, heads=2, feed_forward=32, frames=12, mask=0.5)
    phases = torch.rand(32, 1, 1) * 6.3
    x = torch.sin(torch.arange(48.0) / 3 + phases)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(0)
    errors = []
    for _ in range(40):
        loss = reconstruction_error(model({"eda": x}, masking_noise(32, 12, generator=generator)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())

    assert errors[-1] < 0.5 * errors[0]


def test_the_network_starts_from_the_pretexts_encoder() -> None:
    pretext, network = a_pretext(), build("masked_autoencoder", SHAPES, 2, **SMALL).eval()
    kept = {name: value for name, value in pretext.state_dict().items() if not name.startswith("decoder.")}

    found = network.load_state_dict(kept, strict=False)

    assert not found.unexpected_keys
    assert {name.split(".")[0] for name in found.missing_keys} == {"head"}
    inputs = windows()
    assert torch.equal(network(inputs).features["tokens"], pretext.encoder(inputs))
    torch.testing.assert_close(network(inputs).features["embedding"], pretext.encoder(inputs).mean(dim=1))


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
    for mask in (0.0, 1.0):
        with pytest.raises(LimbeckError, match="expected a share above 0 and below 1"):
            MaskedAutoencoderPretext(SHAPES, mask=mask)
