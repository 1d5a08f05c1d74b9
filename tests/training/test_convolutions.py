"""Convolutions of stacked networks: equal to PyTorch's own, whichever way they take."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from limbeck.training import convolutions
from limbeck.training.convolutions import convolve_fast

NETWORKS, BATCH = 3, 4

SHORT, LONG = 12, 4000
CASES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "in one go": (nn.Conv1d(16, 8, 5, padding=2), (16, SHORT)),
    "in one go, with channels of zeros": (nn.Conv1d(10, 16, 5, stride=2), (10, SHORT)),
    "in one go, few channels": (nn.Conv1d(1, 8, 3, bias=False), (1, SHORT)),
    "one by one, long": (nn.Conv1d(16, 8, 5, stride=4, padding=1), (16, LONG)),
    "one by one, filters that fill no block": (nn.Conv1d(3, 5, 3, dilation=2, bias=False), (3, SHORT)),
    "one by one, planes": (nn.Conv2d(2, 3, (1, 3), stride=(1, 2), padding=(0, 1)), (2, 5, 9)),
    "in one go, planes with channels of zeros": (nn.Conv2d(9, 8, (2, 3)), (9, 3, 6)),
    "left as it is: depthwise": (nn.Conv1d(4, 4, 3, groups=4), (4, SHORT)),
    "left as it is: padding by name": (nn.Conv1d(3, 5, 3, padding="same"), (3, SHORT)),
    "left as it is: reflected": (nn.Conv1d(3, 5, 3, padding=1, padding_mode="reflect"), (3, SHORT)),
}

every_case = pytest.mark.parametrize("case", CASES)


def fresh(case: str, *, fast: bool) -> nn.Module:
    """Return a network whose loss depends on all of a convolution."""
    module, _ = CASES[case]
    network = nn.Sequential(module.__class__(**settings_of(module)), nn.Tanh()).double()
    if fast:
        convolve_fast(network)
    return network


def settings_of(module: Any) -> dict[str, Any]:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    return {name: getattr(module, name) for name in names} | {"bias": module.bias is not None}


def stacked(case: str, seed: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """Return weights of some networks and windows of each."""
    torch.manual_seed(seed)
    network = fresh(case, fast=False)
    weights = {name: torch.randn(NETWORKS, *value.shape).double() for name, value in network.named_parameters()}
    return weights, torch.randn(NETWORKS, BATCH, *CASES[case][1]).double()


def loss_of(network: nn.Module) -> Any:
    def loss(own: dict[str, Tensor], x: Tensor) -> Tensor:
        result: Tensor = functional_call(network, own, (x,)).square().sum()
        return result

    return loss


@every_case
def test_values_and_gradients_are_those_of_one_network_after_the_other(case: str) -> None:
    weights, x = stacked(case)
    found = []
    for fast in (True, False):
        own = {name: value.clone().requires_grad_() for name, value in weights.items()}
        inputs = x.clone().requires_grad_()
        loss = loss_of(fresh(case, fast=fast))
        if fast:
            values = vmap(loss)(own, inputs)
        else:
            values = torch.stack([loss({n: v[m] for n, v in own.items()}, inputs[m]) for m in range(NETWORKS)])
        found.append([values, *torch.autograd.grad(values.sum(), [inputs, *own.values()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@every_case
def test_gradients_of_gradients_are_so_too(case: str) -> None:
    weights, x = stacked(case)

    def ahead(network: nn.Module) -> Any:
        loss = loss_of(network)

        def after_a_step(own: dict[str, Tensor], x: Tensor) -> Tensor:
            slope = grad(loss)(own, x)
            return loss({name: value - 0.01 * slope[name] for name, value in own.items()}, x)  # type: ignore[no-any-return]

        return after_a_step

    found = vmap(grad(ahead(fresh(case, fast=True))))(weights, x)
    step = grad(ahead(fresh(case, fast=False)))
    for m in range(NETWORKS):
        alone = step({name: value[m] for name, value in weights.items()}, x[m])
        for name, value in alone.items():
            torch.testing.assert_close(found[name][m], value, rtol=1e-8, atol=1e-8)


@every_case
def test_windows_that_all_networks_share_are_convolved_by_each(case: str) -> None:
    weights, x = stacked(case)
    loss = loss_of(fresh(case, fast=True))
    together = vmap(loss, in_dims=(0, None))(weights, x[0])
    each = [loss_of(fresh(case, fast=False))({n: v[m] for n, v in weights.items()}, x[0]) for m in range(NETWORKS)]
    torch.testing.assert_close(together, torch.stack(each), rtol=1e-9, atol=1e-9)


@every_case
def test_a_single_network_is_what_it_was(case: str) -> None:
    weights, x = stacked(case)
    own = {name: value[0] for name, value in weights.items()}
    found = [loss_of(fresh(case, fast=fast))(own, x[0]) for fast in (True, False)]
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


@every_case
def test_the_way_is_read_off_the_shapes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = convolutions._convolution
    monkeypatch.setattr(convolutions, "_convolution", lambda *a: (calls.append(1), real(*a))[1])
    weights, x = stacked(case)
    vmap(loss_of(fresh(case, fast=True)))(weights, x)
    assert len(calls) == (NETWORKS if case.startswith("one by one") else 0)
