"""AdamW, clipping and learning rates over many networks, against PyTorch's own for one."""

from __future__ import annotations

import pytest
import torch

from limbeck.training.optimiser import AdamW, clip_by_member, learning_rates

MEMBERS, PARAMETERS, STEPS = 3, 7, 25


def gradients() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(STEPS, MEMBERS, PARAMETERS, generator=generator) * torch.tensor([[1e-3], [1.0], [1e3]])


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_each_member_is_updated_as_torch_would_update_it(weight_decay: float) -> None:
    start = torch.randn(MEMBERS, PARAMETERS, generator=torch.Generator().manual_seed(1))
    rates = torch.tensor([1e-2, 1e-3, 5e-2])
    ours = start.clone()
    optimiser = AdamW(ours, weight_decay=weight_decay)
    theirs = [start[f].clone().requires_grad_() for f in range(MEMBERS)]
    references = [torch.optim.AdamW([theirs[f]], lr=rates[f].item(), weight_decay=weight_decay) for f in range(MEMBERS)]

    for gradient in gradients():
        optimiser.step(ours, gradient, rates)
        for f in range(MEMBERS):
            theirs[f].grad = gradient[f].clone()
            references[f].step()

    torch.testing.assert_close(ours, torch.stack([t.detach() for t in theirs]), rtol=1e-5, atol=1e-6)
    assert (ours - start).abs().max() > 0.1


def test_a_member_goes_on_as_before_when_others_leave() -> None:
    start = torch.ones(MEMBERS, PARAMETERS)
    rates = torch.full((MEMBERS,), 1e-2)
    together, kept = start.clone(), start.clone()
    stays, leaves = AdamW(together, weight_decay=0.1), AdamW(kept, weight_decay=0.1)

    for step, gradient in enumerate(gradients()):
        stays.step(together, gradient, rates)
        if step == 10:
            leaves.keep([0, 2])
            kept = kept[[0, 2]]
        chosen = [0, 1, 2] if step < 10 else [0, 2]
        leaves.step(kept, gradient[chosen], rates[chosen])

    assert torch.equal(kept, together[[0, 2]])


def test_clipping_limits_each_members_norm_by_itself() -> None:
    gradient = torch.tensor([[3.0, 4.0], [0.3, 0.4], [30.0, 40.0]])

    clipped = clip_by_member(gradient, 1.0)

    torch.testing.assert_close(clipped, torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.6, 0.8]]))


def test_clipping_is_that_of_torch() -> None:
    gradient = gradients()[0]
    expected = []
    for own in gradient:
        parameter = torch.zeros(PARAMETERS, requires_grad=True)
        parameter.grad = own.clone()
        torch.nn.utils.clip_grad_norm_([parameter], 2.0)
        expected.append(parameter.grad)

    torch.testing.assert_close(clip_by_member(gradient, 2.0), torch.stack(expected), rtol=1e-5, atol=1e-6)


def test_a_gradient_of_zero_stays_zero_when_clipped() -> None:
    assert torch.equal(clip_by_member(torch.zeros(2, 3), 1.0), torch.zeros(2, 3))


def test_a_constant_rate_is_the_same_for_all_at_every_step() -> None:
    total = torch.tensor([10.0, 20.0])

    for step in (0, 5, 19):
        torch.testing.assert_close(learning_rates(0.1, "constant", step, total), torch.tensor([0.1, 0.1]))


def test_half_a_cosine_runs_over_each_members_own_steps() -> None:
    total = torch.tensor([10.0, 20.0])

    torch.testing.assert_close(learning_rates(0.1, "cosine", 0, total), torch.tensor([0.1, 0.1]))
    torch.testing.assert_close(learning_rates(0.1, "cosine", 10, total), torch.tensor([0.0, 0.05]))
    parameter = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.SGD([parameter], lr=0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=20)
    for step in range(20):
        assert learning_rates(0.1, "cosine", step, total)[1].item() == pytest.approx(
            reference.get_last_lr()[0], abs=1e-7
        )
        optimiser.step()
        reference.step()


def test_what_is_clipped_apart_does_not_shrink_each_other() -> None:
    gradient = torch.tensor([[3.0, 4.0, 0.3, 0.4], [0.3, 0.4, 30.0, 40.0]])

    clipped = clip_by_member(gradient, 1.0, [slice(0, 2), slice(2, 4)])

    torch.testing.assert_close(clipped, torch.tensor([[0.6, 0.8, 0.3, 0.4], [0.3, 0.4, 0.6, 0.8]]))
