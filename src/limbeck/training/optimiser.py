"""AdamW over the flat parameters of many networks, each with its own learning rate and its own gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["AdamW", "clip_by_member", "learning_rates"]


class AdamW:
    """Adam with decoupled weight decay, on a tensor (member, parameter).

    Parameters
    ----------
    flat : Tensor of shape (n_members, n_parameters)
        Updated in place.
    weight_decay : float
        Share of the weights that is taken off per unit of learning rate.
    betas : (float, float)
        Decay of the first and second moment.
    epsilon : float
        Added to the root of the second moment.

    References
    ----------
    Loshchilov, Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    def __init__(
        self, flat: Tensor, *, weight_decay: float, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
    ) -> None:
        self.weight_decay, self.betas, self.epsilon = weight_decay, betas, epsilon
        self.first, self.second = torch.zeros_like(flat), torch.zeros_like(flat)
        self.steps = 0

    def step(self, flat: Tensor, gradient: Tensor, rates: Tensor) -> None:
        """Update `flat` by `gradient` of the same shape, with a learning rate (n_members,) per member."""
        self.steps += 1
        beta1, beta2 = self.betas
        rate = rates[:, None]
        flat.mul_(1.0 - rate * self.weight_decay)
        self.first.lerp_(gradient, 1.0 - beta1)
        self.second.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        scale = (self.second / (1.0 - beta2**self.steps)).sqrt_().add_(self.epsilon)
        flat.sub_(self.first.div(scale).mul_(rate / (1.0 - beta1**self.steps)))

    def keep(self, positions: Sequence[int]) -> None:
        """Let all but the given members leave."""
        index = torch.as_tensor(positions, device=self.first.device)
        self.first, self.second = self.first[index], self.second[index]


def clip_by_member(gradient: Tensor, limit: float, parts: Sequence[slice] = (slice(None),)) -> Tensor:
    """Scale each member's gradient down to a norm of at most `limit` in each part.

    Parameters
    ----------
    gradient : Tensor of shape (n_members, n_parameters)
        Not changed.
    limit : float
        Largest norm.
    parts : sequence of slice
        Parameters that are limited together; the parts follow on each other and leave out none.
    """
    clipped = []
    for part in parts:
        own = gradient[:, part]
        clipped.append(own * (limit / own.norm(dim=1, keepdim=True).clamp_min(limit)))
    return clipped[0] if len(clipped) == 1 else torch.cat(clipped, dim=1)


def learning_rates(base: float, schedule: str, step: int, total_steps: Tensor) -> Tensor:
    """Return the learning rate of each member at one step.

    Parameters
    ----------
    base : float
        The rate at the start.
    schedule : str
        ``"constant"``, or ``"cosine"``: half a cosine from `base` to zero over the member's own steps.
    step : int
        Steps done so far.
    total_steps : Tensor of shape (n_members,)
        Steps that each member will do at most.
    """
    if schedule == "constant":
        return torch.full_like(total_steps, base)
    return base * 0.5 * (1.0 + torch.cos(torch.pi * step / total_steps))
