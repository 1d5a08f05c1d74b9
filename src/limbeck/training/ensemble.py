"""The Ensemble: the networks of many folds, trained as one.

All parameters of all members lie in one flat tensor (member, parameter); the two backends differ only in how the
gradient of a batch is found:

* *stacked*: ``torch.func.vmap`` over the members, one set of large operations, and one backward pass through the sum of
  their losses, whose gradient at a member's parameters is that of the member's own loss;
* *looped*: one member after the other.

Stacked is faster where a network is too small to fill the core, looped where one fills it. Recurrent layers have no
rule under ``vmap`` and need the looped backend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from limbeck.distillation.contract import Batch
from limbeck.distillation.learner import Learner
from limbeck.distillation.steps import Phase
from limbeck.errors import DataError
from limbeck.models.contract import Outputs
from limbeck.models.layers import Dropout
from limbeck.training import draws
from limbeck.training.convolutions import convolve_fast
from limbeck.training.draws import Member

__all__ = ["BACKENDS", "Ensemble"]

BACKENDS = ("stacked", "looped")

Losses = tuple[Tensor, dict[str, Tensor]]
"""A total with its terms."""

_FOREIGN_RANDOMNESS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class Ensemble:
    """F learners of one design.

    Parameters
    ----------
    build : callable without arguments
        Returns a fresh learner; called once per member under the member's own seed.
    members : sequence of Member
        Whose networks.
    backend : str
        ``"stacked"`` or ``"looped"``.
    device : str or torch.device
        Where the networks live.

    Raises
    ------
    DataError
        When there is no member, when a layer draws random numbers of its own, or when a layer cannot be stacked.

    Attributes
    ----------
    flat : Tensor of shape (n_members, n_parameters), float32
        All parameters that learn.
    buffers : dict of str to Tensor of shape (n_members, ...)
        Buffers, such as the running statistics of batch normalisation, and parameters that do not learn.
    """

    def __init__(
        self,
        build: Callable[[], Learner],
        members: Sequence[Member],
        *,
        backend: str = "stacked",
        device: str | torch.device = "cpu",
    ) -> None:
        if backend not in BACKENDS:
            raise DataError(f"An ensemble is stacked or looped, not '{backend}'.")
        if not members:
            raise DataError("An ensemble needs at least one member.")
        self.members = tuple(members)
        self.backend = backend
        self.device = torch.device(device)
        networks = [_build_seeded(build, draws.initialisation_seed(member)) for member in members]
        self.skeleton = networks[0]
        _refuse_foreign_randomness(self.skeleton)
        if backend == "stacked":
            _refuse_recurrence(self.skeleton)
            if self.device.type == "cpu":
                convolve_fast(self.skeleton)
        self.skeleton.to(self.device)
        self._dropouts = {
            f"{name}.mask" if name else "mask": module
            for name, module in self.skeleton.named_modules()
            if isinstance(module, Dropout)
        }
        learn = {name: p for name, p in self.skeleton.named_parameters() if p.requires_grad}
        self._layout = [(name, p.shape, p.numel()) for name, p in learn.items()]
        self.flat = torch.stack(
            [
                torch.cat([p.detach().reshape(-1) for p in network.parameters() if p.requires_grad])
                for network in networks
            ]
        ).to(self.device)
        kept = [dict(network.named_buffers()) | dict(network.named_parameters()) for network in networks]
        self.buffers = {
            name: torch.stack([own[name].detach() for own in kept]).to(self.device)
            for name in kept[0]
            if name not in self._dropouts and name not in learn
        }
        self._mask_shapes: dict[str, torch.Size] = {}

    def __len__(self) -> int:
        return self.flat.shape[0]

    # ---- state -------------------------------------------------------------------------------------------------------

    def parameters_of(self, flat: Tensor) -> dict[str, Tensor]:
        """Return named views into flat parameters of shape (..., n_parameters)."""
        pieces = flat.split([size for _, _, size in self._layout], dim=-1)
        return {
            name: piece.unflatten(-1, shape) if len(shape) else piece.squeeze(-1)
            for (name, shape, _), piece in zip(self._layout, pieces, strict=True)
        }

    def columns(self, prefixes: Sequence[str]) -> slice:
        """Return where the parameters lie whose names begin with one of the prefixes; they must lie together."""
        chosen = [any(name.startswith(prefix) for prefix in prefixes) for name, _, _ in self._layout]
        starts = np.cumsum([0, *(size for _, _, size in self._layout)])
        places = np.flatnonzero(chosen)
        if not len(places):
            raise DataError(f"The learner has no parameters called {', '.join(prefixes)}….")
        if places[-1] - places[0] + 1 != len(places):
            raise DataError(f"The parameters called {', '.join(prefixes)}… do not lie together.")
        return slice(int(starts[places[0]]), int(starts[places[-1] + 1]))

    @property
    def parts(self) -> list[slice]:
        """Where the parameters of each network lie, and those of the losses: what is clipped by itself."""
        parts = dict.fromkeys(
            ".".join(name.split(".")[: 2 if name.startswith("partners.") else 1]) for name, _, _ in self._layout
        )
        return [self.columns((f"{part}.",)) for part in parts]

    def state_of(self, position: int) -> dict[str, Tensor]:
        """Return a copy of one member's networks, by name as in ``state_dict``.

        ``network.…`` is the network that predicts (the average of the trained one, where that is deployed), and
        ``partners.<name>.…`` are the partners that learn by gradient; what else helped is left behind.
        """
        values = self.parameters_of(self.flat[position])
        values |= {name: value[position] for name, value in self.buffers.items()}
        return {
            kept: values[name].detach().clone()
            for name in self.skeleton.state_dict()
            if (kept := self.skeleton.kept_as(name)) is not None
        }

    def load_state(self, position: int, state: Mapping[str, Tensor]) -> None:
        """Overwrite those of one member's parameters and buffers that `state` names; shapes must agree."""
        views = self.parameters_of(self.flat[position])
        for name, value in state.items():
            target = views.get(name, self.buffers[name][position] if name in self.buffers else None)
            if target is None or target.shape != value.shape:
                found = "nothing of that name" if target is None else f"shape {tuple(target.shape)}"
                raise DataError(
                    f"The start state has '{name}' of shape {tuple(value.shape)}, the network has {found}; "
                    "list it under start.reset or start from a stage of the same design."
                )
            target.copy_(value)

    def keep(self, positions: Sequence[int]) -> None:
        """Let all but the given members leave the stack."""
        index = torch.as_tensor(positions, device=self.device)
        self.members = tuple(self.members[p] for p in positions)
        self.flat = self.flat[index]
        self.buffers = {name: value[index] for name, value in self.buffers.items()}

    # ---- training ----------------------------------------------------------------------------------------------------

    def gradients(self, phase: Phase, batch: Batch, step: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return gradients, losses and loss terms of one batch per member; running statistics advance.

        Parameters
        ----------
        phase : Phase
            Of a step: which loss, in which mode.
        batch : Batch
            Every tensor with a leading axis of members.
        step : int
            The step, which keys the dropout masks.

        Returns
        -------
        gradient : Tensor of shape (n_members, n_parameters)
        loss : Tensor of shape (n_members,)
        terms : dict of str to Tensor of shape (n_members,)
        """
        self.skeleton.train(phase.training)
        state = self.buffers | (self._draw_masks(batch, step) if phase.training else {})

        def loss_of(parameters: dict[str, Tensor], buffers: dict[str, Tensor], one: Batch) -> Losses:
            def evaluate(own: Mapping[str, Tensor], batch: Batch, part: str) -> Losses:
                found: Losses = functional_call(self.skeleton, (dict(own), buffers), (batch, part))
                return found

            return phase.loss(evaluate, parameters, one)

        if self.backend == "stacked":
            flat = self.flat.detach().requires_grad_()
            loss, terms = vmap(loss_of)(self.parameters_of(flat), state, batch)
            (gradient,) = torch.autograd.grad(loss.sum(), flat)
            return gradient, loss.detach(), {name: term.detach() for name, term in terms.items()}
        gradient = torch.empty_like(self.flat)
        found: list[Losses] = []
        for f in range(len(self)):
            flat = self.flat[f].detach().requires_grad_()
            buffers = {name: value[f] for name, value in state.items()}
            loss, terms = loss_of(self.parameters_of(flat), buffers, _member_of(batch, f))
            (gradient[f],) = torch.autograd.grad(loss, flat)
            found.append((loss.detach(), {name: term.detach() for name, term in terms.items()}))
        stacked_terms = {name: torch.stack([terms[name] for _, terms in found]) for name in found[0][1]}
        return gradient, torch.stack([loss for loss, _ in found]), stacked_terms

    def follow(self, steps: int) -> None:
        """Let partners that average the network follow it; `steps` have been done so far."""
        done = torch.full((len(self),), float(steps), device=self.device)
        self.skeleton.follow(self.parameters_of(self.flat), self.buffers, done)

    def _draw_masks(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Draw every dropout mask of one step, each member's from its own generator, in one go per member."""
        drops = {name for name, module in self._dropouts.items() if module.p > 0 and module.training}
        if drops and not self._mask_shapes:
            self._mask_shapes = self._find_mask_shapes(_member_of(batch, 0))
        active = {name: shape for name, shape in self._mask_shapes.items() if name in drops}
        masks = {name: torch.ones(len(self), device=self.device) for name in self._dropouts if name not in active}
        if not active:
            return masks
        sizes = [shape.numel() for shape in active.values()]
        bits = np.stack([draws.mask_bits(member, step, sum(sizes)) for member in self.members])
        pieces = torch.from_numpy(bits).to(self.device).split(sizes, dim=1)
        for (name, shape), piece in zip(active.items(), pieces, strict=True):
            masks[name] = _mask(piece, self._dropouts[name].p).unflatten(1, shape)
        return masks

    def _find_mask_shapes(self, batch: Batch) -> dict[str, torch.Size]:
        """Return the shape, batch included, of what passes through each dropout layer that the network uses."""
        shapes: dict[str, torch.Size] = {}
        handles = []
        for name, module in self._dropouts.items():

            def remember(_: nn.Module, arguments: tuple[Tensor, ...], __: Tensor, name: str = name) -> None:
                if name in shapes:
                    raise DataError(
                        f"The layer '{name.removesuffix('.mask')}' (Dropout) is passed through more than once, and "
                        "would drop the same elements each time; give every place a layer of its own."
                    )
                shapes[name] = arguments[0].shape

            handles.append(module.register_forward_hook(remember))
        self.skeleton.eval()
        try:
            with torch.no_grad():
                functional_call(self.skeleton, self._state(0), (batch,))
        finally:
            self.skeleton.train()
            for handle in handles:
                handle.remove()
        return shapes

    def _state(self, position: int) -> dict[str, Tensor]:
        buffers = {name: value[position] for name, value in self.buffers.items()}
        return self.parameters_of(self.flat[position]) | buffers

    # ---- evaluation --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def outputs(
        self, inputs: dict[str, Tensor], positions: Sequence[int] | None = None, *, of: str | None = None
    ) -> Outputs:
        """Return the outputs of members in evaluation mode.

        Parameters
        ----------
        inputs : dict of str to Tensor of shape (n_positions, batch, ...)
            Normalised windows of each member.
        positions : sequence of int or None
            Which members; all by default.
        of : str or None
            The path of a network in the learner, such as ``partners.teacher``; the one that is deployed by default.

        Returns
        -------
        Outputs
            With a leading axis of members; predictions (n_positions, batch, n_outputs), or (n_positions, batch,
            n_steps) of a trace with steps.
        """
        self.skeleton.eval()
        path = of or self.skeleton.deployed
        network, start = self.skeleton.get_submodule(path), len(path) + 1
        chosen = list(range(len(self))) if positions is None else list(positions)
        index = torch.as_tensor(chosen, device=self.device)
        state = {
            name[start:]: value[index]
            for name, value in (self.parameters_of(self.flat) | self.buffers).items()
            if name.startswith(f"{path}.")
        }
        if self.backend == "stacked":
            stacked: Outputs = vmap(lambda own, x: functional_call(network, own, (x,)))(state, inputs)
            return Outputs(stacked.prediction.flatten(2), stacked.features)
        each = [
            functional_call(
                network,
                {name: value[i] for name, value in state.items()},
                ({name: x[i] for name, x in inputs.items()},),
            )
            for i in range(len(chosen))
        ]
        return Outputs(
            torch.stack([outputs.prediction for outputs in each]).flatten(2),
            {name: torch.stack([outputs.features[name] for outputs in each]) for name in each[0].features},
        )


def _member_of(batch: Batch, position: int) -> Batch:
    """Return what a batch of many members holds for one of them."""
    chosen: Batch = _each(batch, position)
    return chosen


def _each(value: Any, position: int) -> Any:
    if isinstance(value, Tensor):
        return value[position]
    if isinstance(value, dict):
        return {name: _each(inner, position) for name, inner in value.items()}
    return type(value)(*(_each(inner, position) for inner in value))


def _mask(bits: Tensor, p: float) -> Tensor:
    """Return 0 for a share `p` of 16-bit values (rounded to 2^-16) and the inverse of the kept share for the others."""
    levels = 2**16
    dropped = min(round(p * levels), levels - 1)
    return (bits >= dropped - levels // 2).to(torch.float32).mul_(levels / (levels - dropped))


def _build_seeded(build: Callable[[], Learner], seed: int) -> Learner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % np.iinfo(np.int64).max)
        return build()


def _refuse_recurrence(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.RNNBase):
            raise DataError(
                f"The layer '{name}' ({type(module).__name__}) has no rule for many networks at once; "
                "train it with the looped backend (engine.backend: looped)."
            )


def _refuse_foreign_randomness(network: nn.Module) -> None:
    for name, module in network.named_modules():
        recurrent = isinstance(module, nn.RNNBase) and module.dropout > 0
        if (isinstance(module, _FOREIGN_RANDOMNESS) and module.p > 0) or recurrent:
            raise DataError(
                f"The layer '{name}' ({type(module).__name__}) draws its own random numbers, so a fold would depend "
                "on its companions; use limbeck.models.Dropout."
            )
