"""Signals of any rate as a few steps: segments, the front, and what is pooled of it."""

from __future__ import annotations

import torch

from limbeck.models import InputShape
from limbeck.models.steps import CommonSteps, Front, Pooling, frame_times, segments


def test_the_front_brings_any_rate_down_to_about_as_many_frames() -> None:
    for length, rate in ((240, 4.0), (3840, 64.0), (1250, 250.0), (30_720, 512.0), (100, 64.0)):
        for causal in (True, False):
            front = Front(InputShape(3, length, rate), width=4, frames=128, causal=causal)
            assert front(torch.zeros(2, 3, length)).shape == (2, 4, front.n_frames)
            assert min(128, length) <= front.n_frames < 256
    rhythm = Front(InputShape(2, 250, 250.0), width=4, frames=250)
    assert rhythm.filter.kernel_size == (63,), "a quarter of a second, whatever the stride"


def test_segments_average_what_lies_in_them_and_hold_the_last_frame_where_nothing_does() -> None:
    weights = segments(torch.arange(6), 6, 3)
    torch.testing.assert_close(weights @ torch.arange(6.0), torch.tensor([0.5, 2.5, 4.5]))
    torch.testing.assert_close(
        segments(torch.arange(6), 6, 3, so_far=True) @ torch.arange(6.0), torch.tensor([0.5, 1.5, 2.5])
    )
    held = segments(torch.tensor([1, 5]), 8, 4)  # ends: 2, 4, 6, 8
    torch.testing.assert_close(held @ torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0, 2.0, 2.0]))
    assert frame_times(3, 4, causal=True).tolist() == [3, 7, 11]
    assert frame_times(3, 4, causal=False).tolist() == [1, 5, 9]


def test_pooling_is_mean_and_logarithm_of_the_spread() -> None:
    x = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0))
    spread = 0.5 * (x.var(dim=-1, correction=0) + 1e-3).log()

    whole = Pooling(torch.arange(12), 12, 0, causal=False)(x)
    causal, free = (Pooling(torch.arange(12), 12, 3, causal=causal)(x) for causal in (True, False))

    torch.testing.assert_close(whole, torch.cat([x.mean(dim=-1), spread], dim=-1))
    torch.testing.assert_close(free[..., :5], x.unflatten(-1, (3, 4)).mean(dim=-1).mT)
    torch.testing.assert_close(free[:, :, 5:], whole[:, None].expand(-1, 3, -1))
    first = x[..., :4]
    torch.testing.assert_close(causal[:, 0, 5:10], first.mean(dim=-1))
    torch.testing.assert_close(causal[:, 0, 10:], 0.5 * (first.var(dim=-1, correction=0) + 1e-3).log())
    torch.testing.assert_close(causal[:, 2, 5:], whole)


def test_signals_of_any_rates_meet_in_common_steps() -> None:
    shapes = {"temp": InputShape(1, 10, 1.0), "bvp": InputShape(1, 640, 64.0), "eeg": InputShape(4, 2500, 250.0)}
    for n_steps, expected in ((0, 32), (10, 30), (40, 40)):
        for causal in (True, False):
            front = CommonSteps(shapes, width=6, frames=32, n_steps=n_steps, causal=causal)
            assert front.steps == expected
            assert front({name: shape.zeros(2) for name, shape in shapes.items()}).shape == (2, 6, expected)
    few = CommonSteps({"temp": shapes["temp"]}, width=6, frames=32, n_steps=0, causal=False)
    assert few.steps == 10
