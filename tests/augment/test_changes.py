"""Every change: what it promises, alone and in a stack of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.augment import CHANGES, Change, stacked
from limbeck.augment.contract import WindowShape, white
from limbeck.errors import StudyError

BATCH, CHANNELS, TIME, RATE = 24, 4, 256, 64.0
SIGNALS = sorted(name for name in CHANGES if CHANGES[name].suits == "signals")


def waves(*lead: int, channels: int = CHANNELS, time: int = TIME) -> Tensor:
    """Smooth signals of unit power: two sines each, of other frequencies and phases, about zero."""
    generator = torch.Generator().manual_seed(1)
    shape = (*lead, channels, 1)
    t = torch.arange(time) / RATE
    slow, fast = 0.5 + torch.rand(shape, generator=generator), 3 + 4 * torch.rand(shape, generator=generator)
    phase = 6 * torch.rand(shape, generator=generator)
    x = torch.sin(2 * torch.pi * slow * t + phase) + torch.sin(2 * torch.pi * fast * t + phase)
    x = x - x.mean(-1, keepdim=True)
    return x / x.std(-1, keepdim=True, correction=0)


def windows_for(name: str, *lead: int) -> Tensor:
    return waves(*lead) if CHANGES[name].suits == "signals" else waves(*lead, channels=1, time=24).squeeze(-2)


def rate_for(name: str) -> float | None:
    return RATE if CHANGES[name].suits == "signals" else None


def drawn(name: str, shape: tuple[int, ...], seed: int = 0, **options: Any) -> tuple[Change, dict[str, np.ndarray]]:
    change = CHANGES[name](**options)
    return change, change.noise(shape, rate_for(name), np.random.default_rng(seed))


def changed(name: str, x: Tensor, seed: int = 0, **options: Any) -> Tensor:
    change, noise = drawn(name, tuple(x.shape), seed, **options)
    return change.apply(x, {key: torch.from_numpy(value) for key, value in noise.items()})


def power(x: Tensor) -> Tensor:
    return x.square().mean()


# ---- the contract ----------------------------------------------------------------------------------------------------


def test_the_promised_changes_are_there() -> None:
    assert set(CHANGES) == {
        "jitter", "noise", "scale", "negate", "time_mask", "channel_drop", "band_stop",
        "crop_resize", "time_warp", "permutation", "flip", "shift",
        "feature_jitter", "feature_mask",
    }  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_documents_and_bounds_its_options(name: str) -> None:
    options = CHANGES.options(name)
    assert "probability" in options
    text = CHANGES.help(name) + (Change.__doc__ or "")
    assert all(f"{option} : " in text or f"{option}, " in text or f", {option} : " in text for option in options)
    assert set(CHANGES[name].spans) <= set(options)
    with pytest.raises(FrozenInstanceError):
        CHANGES[name]().probability = 0.3


@pytest.mark.parametrize("name", CHANGES)
def test_noise_is_small_types_with_the_batch_first(name: str) -> None:
    x = windows_for(name, BATCH)
    _, noise = drawn(name, tuple(x.shape), probability=0.5)
    assert {value.dtype for value in noise.values()} <= {np.dtype(np.float32), np.dtype(np.int64)}
    assert all(value.shape[0] == BATCH for value in noise.values())


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_seed_gives_the_same_windows_and_another_seed_others(name: str) -> None:
    x = windows_for(name, BATCH)
    assert torch.equal(changed(name, x, seed=3), changed(name, x, seed=3))
    assert not torch.equal(changed(name, x, seed=3), changed(name, x, seed=4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CHANGES)
def test_windows_change_and_keep_shape_dtype_and_finite_values(name: str, dtype: torch.dtype) -> None:
    x = windows_for(name, BATCH).to(dtype)
    before = x.clone()
    y = changed(name, x)
    assert y.shape == x.shape
    assert y.dtype == dtype
    assert y.isfinite().all()
    assert torch.equal(x, before), "the input was written to"
    same = (y == x).flatten(1).all(1).float().mean()
    assert same < 0.85, "hardly any window changed"


@pytest.mark.parametrize("probability", [None, 0.5])
@pytest.mark.parametrize("name", CHANGES)
def test_companions_do_not_matter(name: str, probability: float | None) -> None:
    networks = 5
    options = {} if probability is None else {"probability": probability}
    x = windows_for(name, networks, BATCH)
    change = CHANGES[name](**options)
    noises = [change.noise(tuple(x.shape[1:]), rate_for(name), np.random.default_rng([7, f])) for f in range(networks)]
    together = change.apply(x, stacked(noises))
    alone = torch.stack([change.apply(x[f : f + 1], stacked([noises[f]]))[0] for f in range(networks)])
    bare = torch.stack(
        [change.apply(x[f], {key: torch.from_numpy(v) for key, v in noises[f].items()}) for f in range(networks)]
    )
    mapped = torch.func.vmap(change.apply)(x, stacked(noises))
    assert torch.equal(together, alone)
    assert torch.equal(together, bare)
    assert torch.equal(together, mapped)


@pytest.mark.parametrize("name", CHANGES)
def test_an_absent_sensor_stays_absent(name: str) -> None:
    x = windows_for(name, BATCH)
    x[::2] = torch.nan
    y = changed(name, x)
    assert y[::2].isnan().all()
    assert y[1::2].isfinite().all()


@pytest.mark.parametrize("name", CHANGES)
def test_probability_says_which_share_of_windows_changes(name: str) -> None:
    x = windows_for(name, 400)
    untouched = (changed(name, x, probability=0.25) == x).flatten(1).all(1).float().mean()
    assert torch.equal(changed(name, x, probability=0.0), x)
    assert 0.68 < untouched < 0.9
    assert (changed(name, x, probability=1.0) != x).flatten(1).any(1).float().mean() > 0.5


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("jitter", 1.0, 1.01),
        ("noise", 1.02, 1.045),
        ("scale", 0.9, 1.15),
        ("negate", 1 - 1e-6, 1 + 1e-6),
        ("flip", 1 - 1e-6, 1 + 1e-6),
        ("permutation", 1 - 1e-6, 1 + 1e-6),
        ("shift", 1 - 1e-6, 1 + 1e-6),
        ("time_mask", 0.7, 0.9),
        ("channel_drop", 0.65, 0.92),
        ("band_stop", 0.6, 0.999),
        ("crop_resize", 0.85, 1.1),
        ("time_warp", 0.9, 1.05),
    ],
)
def test_mean_power_stays_within_what_a_change_promises(name: str, low: float, high: float) -> None:
    x = waves(200)
    assert low <= power(changed(name, x)) / power(x) <= high


def test_every_change_of_signals_has_its_power_tested() -> None:
    marks = test_mean_power_stays_within_what_a_change_promises.pytestmark
    assert sorted(case[0] for case in marks[0].args[1]) == SIGNALS


# ---- each one --------------------------------------------------------------------------------------------------------


def test_drawn_noise_is_standard_normal() -> None:
    values = white((50, 4001), np.random.default_rng(0)).astype(np.float64)
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)
    assert (values**4).mean() == pytest.approx(3, abs=0.1)
    assert np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_jitter_adds_noise_of_its_sigma(sigma: float) -> None:
    x = waves(200)
    assert (changed("jitter", x, sigma=sigma) - x).std() == pytest.approx(sigma, rel=0.02)


def test_noise_is_at_its_ratio_in_every_channel_whatever_its_level() -> None:
    x = waves(20, time=8192) * torch.tensor([0.1, 1, 10, 0])[:, None] + 5
    ratio = 10 * torch.log10(x.var(-1) / (changed("noise", x, snr=12.0) - x).var(-1))
    assert torch.allclose(ratio[:, :3], torch.tensor(12.0), atol=0.4)
    assert torch.equal(changed("noise", x)[:, 3], x[:, 3]), "a flat channel got noise"


def test_scale_multiplies_each_channel_or_the_whole_window() -> None:
    x = waves(100)
    each = changed("scale", x, low=0.5, high=2.0) / x
    assert torch.allclose(each, each[..., :1], atol=1e-4)
    assert each[..., 0].std(1).min() > 0.01
    assert each.min() >= 0.5 - 1e-3
    assert each.max() <= 2 + 1e-3
    whole = changed("scale", x, low=0.5, high=2.0, per_channel=False) / x
    assert torch.allclose(whole, whole[:, :1, :1].expand_as(whole), atol=1e-4)


def test_time_mask_hides_one_span_in_all_channels() -> None:
    hidden = changed("time_mask", torch.ones(300, 3, 200)) == 0
    assert (hidden == hidden[:, :1]).all()
    share = hidden[:, 0].float().mean(-1)
    assert 0.1 <= share.min() < 0.12
    assert 0.28 < share.max() <= 0.3
    edges = torch.nn.functional.pad(hidden[:, 0].int(), (1, 1)).diff(dim=-1).abs().sum(-1)
    assert (edges == 2).all()
    assert hidden[:, 0, 0].any(), "the first sample is never hidden"
    assert hidden[:, 0, -1].any(), "the last sample is never hidden"


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_channel_drop_loses_channels_and_leaves_one(share: float) -> None:
    y = changed("channel_drop", torch.ones(400, 4, 10), share=share)
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert (y == y[..., :1]).all()
    assert (y[..., 0].sum(1) >= 1).all()
    assert (1 - y.mean()).item() == pytest.approx(share if share < 1 else 0.75, abs=0.04)


def test_feature_mask_hides_columns_and_leaves_one() -> None:
    y = changed("feature_mask", torch.ones(400, 30), share=0.3)
    assert (1 - y.mean()).item() == pytest.approx(0.3, abs=0.02)
    assert (changed("feature_mask", torch.ones(50, 3), share=1.0).sum(1) == 1).all()


def test_band_stop_takes_out_one_band_within_its_range_and_keeps_the_mean() -> None:
    x = torch.from_numpy(white((200, 2, 512), np.random.default_rng(0))) + 3
    y = changed("band_stop", x, low=8.0, high=24.0, width=0.25)
    before, after = torch.fft.rfft(x).abs(), torch.fft.rfft(y).abs()
    frequency = torch.fft.rfftfreq(512, 1 / RATE)
    gone = after < 1e-3 * before
    width = gone[:, 0].sum(1) * RATE / 512
    assert (gone[:, 0] == gone[:, 1]).all()
    assert ((width - 4).abs() <= RATE / 512).all()
    assert not gone[:, :, (frequency < 8) | (frequency > 24)].any()
    assert gone[:, 0].any(0)[(frequency > 9) & (frequency < 23)].all()
    assert torch.allclose(after[~gone], before[~gone], rtol=1e-3, atol=1e-3)
    assert torch.allclose(y.mean(-1), x.mean(-1), atol=1e-4)


@pytest.mark.parametrize(("rate", "time"), [(4.0, 16), (4.0, 17), (64.0, 256)])
def test_band_stop_always_takes_out_a_line(rate: float, time: int) -> None:
    x = torch.from_numpy(white((100, 1, time), np.random.default_rng(0)))
    change = CHANGES["band_stop"](width=0.01)
    noise = change.noise((100, 1, time), rate, np.random.default_rng(0))
    assert (noise["gain"] == 0).any(1).all()
    assert (noise["gain"][:, 0] == 1).all()
    assert change.apply(x, {"gain": torch.from_numpy(noise["gain"])}).shape == x.shape


def test_crop_resize_shows_a_part_of_the_window_slowly() -> None:
    x = torch.arange(201.0).expand(300, 1, 201).clone()
    y = changed("crop_resize", x)[:, 0]
    step = y.diff(dim=-1)
    assert torch.allclose(step, step[:, :1].expand_as(step), atol=1e-3)
    assert 0.6 - 1e-3 <= step.min() < 0.62
    assert 0.88 < step.max() <= 0.9 + 1e-3
    assert y.min() >= 0
    assert y.max() <= 200
    assert y[:, 0].std() > 5, "the part always begins at the same place"


def test_time_warp_keeps_the_ends_and_bends_what_lies_between() -> None:
    x = torch.arange(201.0).expand(300, 1, 201).clone()
    y = changed("time_warp", x, strength=0.1)[:, 0]
    assert torch.allclose(y[:, 0], x[:, 0, 0])
    assert torch.allclose(y[:, -1], x[:, 0, -1])
    step = y.diff(dim=-1)
    assert step.min() >= 0.9 / 1.1 - 1e-3
    assert step.max() <= 1.1 / 0.9 + 1e-3
    assert (y - x[:, 0]).abs().amax(1).median() > 1


def test_permutation_puts_equal_pieces_in_another_order() -> None:
    x = torch.arange(120.0).expand(400, 2, 120).clone()
    y = changed("permutation", x, pieces=5)
    assert torch.equal(y[:, 0], y[:, 1])
    assert torch.equal(y[:, 0].sort(-1).values, x[:, 0])
    breaks = (y[:, 0].diff(dim=-1) != 1).sum(-1)
    assert set(breaks.tolist()) == {0, 1, 2, 3, 4}
    starts = y[:, 0, 0].int().unique().tolist()
    assert set(starts) == {0, 60, 40, 80, 30, 90, 24, 48, 72, 96}


@pytest.mark.parametrize(("name", "turned"), [("negate", lambda x: -x), ("flip", lambda x: x.flip(-1))])
def test_windows_are_turned_half_of_the_time(name: str, turned: Callable[[Tensor], Tensor]) -> None:
    x = waves(400)
    y = changed(name, x)
    as_it_was, over = (y == x).flatten(1).all(1), (y == turned(x)).flatten(1).all(1)
    assert (as_it_was ^ over).all()
    assert over.float().mean().item() == pytest.approx(0.5, abs=0.08)


def test_shift_moves_around_or_repeats_the_edge() -> None:
    x = torch.arange(100.0).expand(300, 1, 100).clone()
    around, edge = changed("shift", x)[:, 0], changed("shift", x, circular=False)[:, 0]
    by = -around[:, 0] % 100
    by = torch.where(by > 50, by - 100, by)
    assert set(by.int().tolist()) == set(range(-10, 11)) - {0}
    assert torch.equal(around, torch.stack([x[0, 0].roll(int(b)) for b in by]))
    assert torch.equal(edge, (x[:, 0] - by[:, None]).clamp(0, 99))


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("jitter", {"sigma": 0}, ["sigma is 0; expected a number above 0"]),
        (
            "jitter",
            {"sigma": "0.1", "probability": 2},
            ["sigma is '0.1'", "probability is 2; expected a number from 0 to 1"],
        ),
        ("jitter", {"sigma": float("nan")}, ["sigma is nan"]),
        ("scale", {"low": 1.2, "high": 0.8}, ["low is 1.2, above high, which is 0.8"]),
        ("scale", {"per_channel": 1}, ["per_channel is 1; expected true or false"]),
        ("permutation", {"pieces": 2.5}, ["pieces is 2.5; expected a whole number from 2"]),
        (
            "time_warp",
            {"pieces": 1, "strength": 1.0},
            ["pieces is 1", "strength is 1.0; expected a number above 0 and"],
        ),
        ("band_stop", {"low": 30.0, "high": 10.0}, ["above high"]),
        ("shift", {"share": True}, ["share is True"]),
    ],
)
def test_bad_options_are_refused_all_at_once(name: str, options: Mapping[str, Any], said: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        CHANGES[name](**options)
    assert len(caught.value.mistakes) == len(said)
    assert all(part in str(caught.value) for part in said)


def test_changes_say_why_they_do_not_fit_windows() -> None:
    assert not list(CHANGES["band_stop"]().unfit(WindowShape(1, 64, 16.0)))
    assert "fewer" in " ".join(CHANGES["band_stop"](low=20.0).unfit(WindowShape(1, 64, 16.0)))
    assert "2 channels" in " ".join(CHANGES["channel_drop"]().unfit(WindowShape(1, 64, 16.0)))
    assert "2 features" in " ".join(CHANGES["feature_mask"]().unfit(WindowShape(1, 0, None)))
    assert "samples" in " ".join(CHANGES["crop_resize"]().unfit(WindowShape(1, 2, 1.0)))
