"""Dropout with masks from outside; the layers and the encoder that several models share."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import Dropout, InputShape
from limbeck.models.layers import (
    Attention,
    CausalConv1d,
    DenseStack,
    NormedConv1d,
    NormedConv2d,
    NormedLinear,
    RowNorm,
    SignalEncoder,
    SingleBiasLSTM,
    sinusoids,
    within,
)


def test_dropout_multiplies_by_its_mask_in_training_only() -> None:
    layer = Dropout(0.5)
    layer.mask = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    x = torch.tensor([[1.0, 1.0], [3.0, 3.0]])

    assert torch.equal(layer.train()(x), torch.tensor([[2.0, 0.0], [0.0, 6.0]]))
    assert torch.equal(layer.eval()(x), x)


def test_dropout_of_nothing_passes_everything_on_whatever_the_mask() -> None:
    layer = Dropout(0.0)
    layer.mask = torch.zeros(2)

    assert torch.equal(layer.train()(torch.ones(2)), torch.ones(2))


def test_the_mask_is_no_part_of_the_state() -> None:
    assert Dropout(0.3).state_dict() == {}


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_a_share_outside_the_unit_interval_is_refused(p: float) -> None:
    with pytest.raises(LimbeckError, match=f"dropout is {p}"):
        Dropout(p)


@pytest.mark.parametrize("length", [4, 30, 127, 240, 1000, 3840, 30000])
def test_the_encoder_reads_windows_of_any_length(length: int) -> None:
    shape = InputShape(2, length, 64.0)
    encoder = SignalEncoder(shape, width=4, dropout=0.0)

    assert encoder(torch.randn(2, 2, length)).shape == (2, encoder.width) == (2, 8)


def test_the_first_layer_brings_long_windows_down_to_about_128_steps() -> None:
    for length in (240, 1920, 3840, 30720):
        encoder = SignalEncoder(InputShape(1, length, 64.0), width=4, dropout=0.0)
        assert 100 < encoder.stem(torch.zeros(1, 1, length)).shape[-1] <= 256


def test_the_encoder_tells_levels_apart() -> None:
    """A skin conductance above a person's usual is information; a normalisation layer would take it away."""
    torch.manual_seed(0)
    encoder = SignalEncoder(InputShape(1, 240, 4.0), width=8, dropout=0.0)
    low, high = torch.full((1, 1, 240), -1.0), torch.full((1, 1, 240), 1.0)

    assert (encoder(low) - encoder(high)).abs().max() > 0.05


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_torch(causal: bool) -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(12, 3, causal=causal).eval(), torch.nn.MultiheadAttention(12, 3, batch_first=True).eval()
    projections = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    query, source = torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    mask = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None

    expected, _ = theirs(query, source, source, attn_mask=mask)

    torch.testing.assert_close(ours(query, source, source), expected, rtol=1e-5, atol=1e-6)


def test_attention_takes_widths_of_its_own_for_heads_and_sources() -> None:
    layer = Attention(8, 2, head_width=5, source_width=3)
    assert layer(torch.randn(4, 6, 8), torch.randn(4, 9, 3), torch.randn(4, 9, 3)).shape == (4, 6, 8)
    with pytest.raises(LimbeckError, match="heads is 3, which does not divide the width of 8"):
        Attention(8, 3)


def test_causal_attention_and_convolution_do_not_see_the_future() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 10, 4)
    later = torch.cat([x[:, :6], torch.randn(1, 4, 4)], dim=1)
    attention, convolution = Attention(4, 2, causal=True), CausalConv1d(4, 3, 3, dilation=2)

    assert torch.equal(attention(x, x, x)[:, :6], attention(later, later, later)[:, :6])
    first, second = (convolution(value.mT) for value in (x, later))
    assert first.shape == (1, 3, 10)
    torch.testing.assert_close(first[..., :6], second[..., :6])
    assert not torch.equal(first[..., 6:], second[..., 6:])


def test_positions_are_sines_and_cosines_from_fast_to_slow() -> None:
    table = sinusoids(50, 6)
    assert table.shape == (50, 6)
    steps = torch.arange(50)
    torch.testing.assert_close(table[:, 0], torch.sin(steps))
    torch.testing.assert_close(table[:, 1], torch.cos(steps))
    torch.testing.assert_close(table[:, 4], torch.sin(steps / 10_000 ** (4 / 6)), rtol=1e-4, atol=1e-6)


def test_weights_are_shortened_to_the_norm_and_no_further() -> None:
    weight = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], requires_grad=True)

    short = within(weight, 2.0)

    torch.testing.assert_close(short, torch.tensor([[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]))
    assert within(weight, None) is weight
    torch.testing.assert_close(short[:2], torch.renorm(weight.detach(), 2, 0, 2.0)[:2], rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(short.sum(), weight)
    assert gradient.isfinite().all()
    torch.testing.assert_close((gradient[0] * weight[0]).sum(), torch.tensor(0.0), rtol=0, atol=1e-6)
    torch.testing.assert_close(gradient[1], torch.ones(2))


def test_the_gradient_is_that_of_the_shortened_weights() -> None:
    torch.manual_seed(0)
    for layer, x in (
        (NormedLinear(4, 3, max_norm=0.5), torch.randn(2, 4)),
        (NormedConv1d(2, 3, 3, max_norm=0.5), torch.randn(2, 2, 7)),
        (NormedConv2d(2, 4, (2, 3), groups=2, max_norm=0.5), torch.randn(2, 2, 3, 7)),
    ):
        layer = layer.double()
        nn.init.normal_(layer.weight)

        def of(weight: torch.Tensor, layer: nn.Module = layer, x: torch.Tensor = x) -> torch.Tensor:
            return torch.func.functional_call(layer, {"weight": weight}, (x.double(),))

        assert torch.autograd.gradcheck(of, (layer.weight,))


def test_a_single_row_is_normalised_by_the_running_statistics_and_leaves_them() -> None:
    norm = RowNorm(3).train()
    norm.running_mean.fill_(2.0)
    before = norm.running_mean.clone()

    torch.testing.assert_close(norm(torch.full((1, 3), 3.0)), torch.full((1, 3), 1.0), rtol=1e-4, atol=1e-4)
    assert torch.equal(norm.running_mean, before)
    norm(torch.randn(4, 3))
    assert not torch.equal(norm.running_mean, before)


def test_rows_are_normalised_over_all_axes_but_the_last() -> None:
    norm = RowNorm(3, momentum=0.01).train()
    x = 4 + 2 * torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(0))

    y = norm(x)

    torch.testing.assert_close(y.mean(dim=(0, 1)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.flatten(0, 1).std(dim=0, correction=0), torch.ones(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(norm.running_mean, 0.01 * x.mean(dim=(0, 1)))
    torch.testing.assert_close(norm.running_var, 0.99 + 0.01 * x.flatten(0, 1).var(dim=0))


def test_one_bias_per_gate_is_the_only_one_that_trains() -> None:
    layer = SingleBiasLSTM(3, 4)
    assert sorted(dict(layer.named_parameters())) == ["bias_ih_l0", "weight_hh_l0", "weight_ih_l0"]
    assert not layer.state_dict()["bias_hh_l0"].any()

    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.bias_ih_l0.add_(1.0)
    x = torch.randn(2, 5, 3)
    assert not torch.equal(layer(x)[0], other(x)[0])


def test_a_stack_names_each_layer_before_its_dropout_and_refuses_widths_of_none() -> None:
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for early_tanh, first in ((True, torch.tanh), (False, torch.relu)):
        stack = DenseStack(5, [4, 3], dropout=0.5, early_tanh=early_tanh).eval()
        h, named = stack(x)
        torch.testing.assert_close(named["dense1"], first(stack.layers[0](x)))
        torch.testing.assert_close(named["dense2"], torch.relu(stack.layers[1](named["dense1"])))
        assert torch.equal(h, named["dense2"])
        assert stack.width == 3
    assert DenseStack(5, 7, dropout=0.0).width == 7
    with pytest.raises(LimbeckError, match=r"hidden is \[4, 0\]; expected widths of at least 1"):
        DenseStack(5, [4, 0], dropout=0.0)
