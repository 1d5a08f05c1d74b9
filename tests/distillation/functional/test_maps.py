"""Maps between features: which shapes they join, what they do to them, and what they say to others."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as reference

from limbeck.distillation.functional import MAPS, build_map, possible_maps
from limbeck.distillation.functional.maps import ConvolutionMap
from limbeck.errors import LimbeckError

MAP, LONGER, VECTOR, WIDER = (3, 8), (5, 12), (24,), (48,)
PARAMETERS = {"linear", "mlp", "conv", "conv3"}
JOINED = [
    ("none", MAP, MAP),
    ("linear", MAP, VECTOR),
    ("linear", VECTOR, LONGER),
    ("mlp", VECTOR, LONGER),
    ("conv", MAP, LONGER),
    ("conv", LONGER, MAP),
    ("conv3", MAP, LONGER),
    ("pool", MAP, LONGER),
    ("pool", WIDER, MAP),
    ("interpolate", MAP, (3, 20)),
    ("interpolate", (3, 20), MAP),
    ("sum_halves", MAP, WIDER),
    ("sum_halves", MAP, (3, 16)),
    ("first_half", MAP, (6, 8)),
    ("second_half", VECTOR, WIDER),
]


def features(student: tuple[int, ...], teacher: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, *student, generator=generator), torch.randn(4, *teacher, generator=generator)


@pytest.mark.parametrize(("name", "student", "teacher"), JOINED)
def test_both_features_come_out_in_one_shape(name: str, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    made = build_map(name, student, teacher)
    own, taught = features(student, teacher)
    left, right = made(own, taught)
    assert left.shape == right.shape == (4, *made.shape)
    flattened = made(own, taught.flatten(1))
    torch.testing.assert_close(flattened[1], right)
    assert bool(list(made.parameters())) == (name in PARAMETERS)
    assert not made.state_dict().keys() & {"resize"}, "a fixed matrix is nothing to be saved"


@pytest.mark.parametrize(("name", "student", "teacher"), JOINED)
def test_the_maps_of_many_networks_run_as_one(name: str, student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    members = [build_map(name, student, teacher) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(members)
    own, taught = (torch.stack([feature, 2 * feature, -feature]) for feature in features(student, teacher))

    def one(parameters: dict[str, torch.Tensor], buffers: dict[str, torch.Tensor], *pair: torch.Tensor) -> torch.Tensor:
        left, right = torch.func.functional_call(members[0], (parameters, buffers), pair)
        return torch.stack([left, right])

    together = torch.vmap(one)(parameters, buffers, own, taught)
    alone = torch.stack([torch.stack(member(own[i], taught[i])) for i, member in enumerate(members)])
    torch.testing.assert_close(together, alone)


def test_a_convolution_of_width_one_commutes_with_the_change_of_length() -> None:
    made = build_map("conv", LONGER, MAP)
    assert isinstance(made, ConvolutionMap)
    own, taught = features(LONGER, MAP)
    shortened = reference.adaptive_avg_pool1d(own, 8)
    torch.testing.assert_close(made(own, taught)[0], made.layer(shortened))


def test_a_wider_kernel_sees_the_neighbouring_steps() -> None:
    reach = {}
    for name in ("conv", "conv3"):
        made = build_map(name, MAP, (5, 8))
        x = torch.zeros(1, *MAP, requires_grad=True)
        (gradient,) = torch.autograd.grad(made(x, torch.zeros(1, 5, 8))[0][0, :, 4].sum(), x)
        reach[name] = gradient[0].abs().sum(dim=0).nonzero()[:, 0].tolist()
    assert reach == {"conv": [4], "conv3": [3, 4, 5]}


def test_pooling_averages_the_longer_side_whosever_it_is() -> None:
    own, taught = features(WIDER, MAP)
    left, right = build_map("pool", WIDER, MAP)(own, taught)
    torch.testing.assert_close(left, own.reshape(4, 24, 2).mean(dim=2))
    torch.testing.assert_close(right, taught.flatten(1))
    right, left = build_map("pool", MAP, WIDER)(taught, own)
    torch.testing.assert_close(left, own.reshape(4, 24, 2).mean(dim=2))


def test_halves_are_those_of_the_axis_that_is_twice_as_long() -> None:
    own, along_time = features(MAP, (3, 16))
    _, summed = build_map("sum_halves", MAP, (3, 16))(own, along_time)
    torch.testing.assert_close(summed, along_time[:, :, :8] + along_time[:, :, 8:])
    _, first = build_map("first_half", MAP, (3, 16))(own, along_time)
    torch.testing.assert_close(first, along_time[:, :, :8])
    _, flattened = build_map("second_half", MAP, WIDER)(own, along_time.flatten(1))
    torch.testing.assert_close(flattened.flatten(1), along_time.flatten(1)[:, 24:])


def test_the_automatic_map_depends_on_the_shapes_alone() -> None:
    def kind(student: tuple[int, ...], teacher: tuple[int, ...]) -> str:
        return type(build_map("auto", student, teacher)).__name__

    assert [kind(MAP, MAP), kind(MAP, LONGER), kind(VECTOR, WIDER), kind(MAP, VECTOR)] == [
        "FeatureMap",
        "ConvolutionMap",
        "LinearMap",
        "LinearMap",
    ]


@pytest.mark.parametrize("name", [name for name in MAPS if name not in ("linear", "mlp", "pool")])
def test_shapes_that_a_map_cannot_join_are_refused_with_the_maps_that_can(name: str) -> None:
    with pytest.raises(LimbeckError, match=rf"'{name}'.*\(24,\).*\(47,\).*can join them: linear, mlp, pool\."):
        build_map(name, VECTOR, (47,))


def test_every_map_joins_what_it_is_said_to_join() -> None:
    for student, teacher in ((MAP, LONGER), (MAP, (3, 16)), (VECTOR, WIDER), (MAP, MAP)):
        own, taught = features(student, teacher)
        for name in possible_maps(student, teacher):
            left, right = build_map(name, student, teacher)(own, taught)
            assert left.shape == right.shape


def test_an_unknown_map_is_refused_with_the_nearest() -> None:
    with pytest.raises(LimbeckError, match="Did you mean 'linear'"):
        build_map("liner", MAP, LONGER)
