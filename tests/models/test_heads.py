"""Another head on every network that has one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from cases import CASES
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import MODELS, InputShape, build
from limbeck.models.heads import with_new_head

Draw = Callable[..., dict[str, Tensor]]

WITHOUT = {"mt_nn"}
"""Networks with a head per task, which have nothing to exchange."""


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("steps", [False, True], ids=["windows", "steps"])
def test_a_new_head_changes_the_outputs_and_nothing_else(name: str, steps: bool, random_inputs: Draw) -> None:
    case = CASES[name]
    if steps and not case.n_steps:
        pytest.skip("predicts once per window")
    model = build(name, case.modalities, 3, n_steps=case.n_steps if steps else 0, **case.options).eval()
    if name in WITHOUT:
        with pytest.raises(LimbeckError, match="cannot be exchanged"):
            with_new_head(model, 5)
        return
    inputs = random_inputs(case.modalities, 2)
    before, outputs = copy.deepcopy(model.state_dict()), model(inputs)

    changed = with_new_head(model, 5)

    assert not changed.training
    after = changed(inputs)
    assert after.prediction.shape == (*outputs.prediction.shape[:-1], 5)
    torch.testing.assert_close(after.features, outputs.features, rtol=0, atol=0)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    same = {key for key, value in changed.state_dict().items() if torch.equal(value, before[key])}
    assert {key.split(".")[0] for key in before.keys() - same} == {"head"}
    own = {parameter.data_ptr() for parameter in model.parameters()}
    assert not own & {parameter.data_ptr() for parameter in changed.parameters()}


def test_the_new_head_is_drawn_by_its_seed_and_nothing_else_is() -> None:
    model = build("mlp", CASES["mlp"].modalities, 3)
    state = torch.random.get_rng_state()

    heads = [with_new_head(model, 3, seed=seed).head for seed in (1, 1, 2)]

    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert not torch.equal(heads[0].weight, model.head.weight)


def test_the_new_head_starts_as_the_networks_own() -> None:
    model = build("zoo_ann", CASES["zoo_ann"].modalities, 3, hidden=64)

    head = with_new_head(model, 4).head

    assert not head.bias.any()
    assert head.weight.abs().max().item() == pytest.approx((6 / (64 + 4)) ** 0.5, rel=0.1)
    assert (head.out_features, head.in_features) == (4, 64)


@pytest.mark.parametrize("flags", [{}, {"as_released": True}], ids=["default", "as_released"])
@pytest.mark.parametrize("name", sorted(set(CASES) - WITHOUT))
def test_every_new_head_starts_as_the_networks_own(name: str, flags: dict[str, bool]) -> None:
    if flags and "as_released" not in MODELS.options(name):
        pytest.skip("has no flag")
    case, n_outputs = CASES[name], 300
    model = build(name, case.modalities, n_outputs, **{**case.options, **flags})

    own, fresh = (last_of(each.head) for each in (model, with_new_head(model, n_outputs)))

    assert fresh.weight.abs().max().item() == pytest.approx(own.weight.abs().max().item(), rel=0.15)
    assert fresh.weight.std().item() == pytest.approx(own.weight.std().item(), rel=0.15)
    assert fresh.bias.any() == own.bias.any()


@pytest.mark.parametrize("name", ["deep_conv_net", "shallow_conv_net"])
def test_weights_start_by_glorot_or_as_in_the_repository_that_a_flag_stands_for(name: str) -> None:
    eeg = {"eeg": InputShape(20, 512, 128.0)}
    bounds = {}
    for flag in (False, True):
        spatial = build(name, eeg, 2, as_released=flag).spatial.weight
        bounds[flag] = spatial.abs().max().item()
    filters, inputs = spatial.shape[0], spatial.shape[1] * 20
    assert bounds[False] == pytest.approx((6 / (inputs + 20 * filters)) ** 0.5, rel=0.02)
    assert bounds[True] == pytest.approx(inputs**-0.5, rel=0.02)


def last_of(head: nn.Module) -> Any:
    return head[-1] if isinstance(head, nn.Sequential) else head


class Odd(nn.Module):
    """A network with a given head."""

    def __init__(self, head: nn.Module | None) -> None:
        super().__init__()
        self.head = head


def test_a_head_may_be_a_convolution_or_the_end_of_a_sequence() -> None:
    changed = with_new_head(Odd(nn.Sequential(nn.Tanh(), nn.Sequential(nn.ReLU(), nn.Conv1d(3, 2, 5, bias=False)))), 4)

    assert isinstance(changed, Odd)
    assert changed.head is not None
    assert changed.head(torch.zeros(1, 3, 9)).shape == (1, 4, 5)
    assert changed.head[1][1].out_channels == 4


@pytest.mark.parametrize("head", [None, nn.Bilinear(2, 2, 2), nn.Sequential(), nn.Conv1d(4, 2, 1, groups=2)])
def test_a_head_of_another_kind_is_refused(head: nn.Module | None) -> None:
    with pytest.raises(LimbeckError, match=r"Odd has (no head|a head that is no linear .*), so it cannot be exchanged"):
        with_new_head(Odd(head), 2)


def test_a_head_without_outputs_is_refused() -> None:
    with pytest.raises(LimbeckError, match="0 outputs"):
        with_new_head(Odd(nn.Linear(2, 2)), 0)
