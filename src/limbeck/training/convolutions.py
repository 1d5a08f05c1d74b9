"""Convolutions of many networks at once, on the CPU.

``torch.vmap`` turns the convolutions of stacked networks into one with as many groups. On a CPU that is fast where all
of it fits into the cache and channels come in blocks; elsewhere it is slower than one convolution per network after the
other, with everything around it still stacked. What is faster is read off the shapes alone, so that a network's numbers
depend on no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

__all__ = ["convolve_fast"]

BLOCK = 16
"""Channels that the processor takes at once."""

FITTING = 70_000
"""Values of one network's input up to which the networks are convolved in one go."""


def convolve_fast(network: nn.Module) -> None:
    """Let the convolutions of a network, called under ``torch.vmap``, take the faster of two equal ways.

    Parameters
    ----------
    network : nn.Module
        Changed in place: it is to be run on the CPU, and not to be copied, stored or exported.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv1d | nn.Conv2d) or module.groups > 1:
            continue
        if module.padding_mode == "zeros" and not isinstance(module.padding, str):
            vars(module)["_conv_forward"] = _convolving(module)


def _convolving(module: nn.Conv1d | nn.Conv2d) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """Return what stands for the convolution of a module."""
    together: Callable[..., Tensor] = functional.conv1d if isinstance(module, nn.Conv1d) else functional.conv2d
    how = (module.stride, module.padding, module.dilation)
    channels, filters = module.in_channels, module.out_channels
    missing = -channels % BLOCK if channels > 8 and channels % 8 else 0

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if math.prod(x.shape) // channels * (channels + missing) > FITTING or filters % 8:
            result: Tensor = _OneByOne.apply(x, weight, bias, *how)
            return result
        if missing:  # channels of zeros change nothing
            beyond = (0, 0) * (x.dim() - 2) + (0, missing)
            x, weight = functional.pad(x, beyond), functional.pad(weight, beyond)
        return together(x, weight, bias, *how)

    return convolve


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any) -> Tensor:
    return torch.convolution(x, weight, bias, stride, padding, dilation, False, (0,) * len(stride), 1)


class _OneByOne(torch.autograd.Function):
    """A convolution that ``torch.vmap`` takes apart into one per network."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any) -> Tensor:
        return _convolution(x, weight, bias, stride, padding, dilation)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, *ctx.how = inputs
        ctx.has_bias = bias is not None
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.how
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.has_bias and ctx.needs_input_grad[2])
        sizes = [weight.shape[0]] if ctx.has_bias else None
        found = torch.ops.aten.convolution_backward(
            gradient, x, weight, sizes, stride, padding, dilation, False, [0] * len(stride), 1, wanted
        )
        return (*(each if asked else None for each, asked in zip(found, wanted, strict=True)), None, None, None)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any
    ) -> tuple[Tensor, int]:
        # Taken apart at once: the gradient of one piece after the other would fill zeros for all the others each time.
        apart = [
            [values] * info.batch_size if values is None or dim is None else values.unbind(dim)
            for values, dim in zip((x, weight, bias), in_dims, strict=False)
        ]
        return torch.stack([_convolution(*own, *how) for own in zip(*apart, strict=True)]), 0
