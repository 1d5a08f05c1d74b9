"""Clocks that run beside each other: found, and undone."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.datasets.clocks import (
    align,
    clock_from_events,
    clock_from_signals,
    dejitter,
    fit_clock,
    place,
    robust_line,
)
from limbeck.errors import DataError
from limbeck.recording import Clock, Event, Recording, Signal, Trace

OFFSET, DRIFT = 1.75, 60.0  # of the simulated clock: seconds, parts per million
HOUR = 3600.0


def on_common(own: np.ndarray) -> np.ndarray:
    """What the simulated sensor calls `own`, on the recording's clock."""
    return OFFSET + own * (1 + DRIFT * 1e-6)


def on_own(common: np.ndarray) -> np.ndarray:
    return (common - OFFSET) / (1 + DRIFT * 1e-6)


def movement(times: np.ndarray, seed: int = 3) -> np.ndarray:
    """Bumps a third of a second long at moments of their own, as a body makes them."""
    moments = np.random.default_rng(seed).uniform(-10, 1300, 1500)
    values = np.zeros(len(times))
    for moment in moments:
        first, last = np.searchsorted(times, [moment - 0.6, moment + 0.6])
        values[first:last] += np.exp(-np.square((times[first:last] - moment) / 0.1))
    return values


# ---- lines -------------------------------------------------------------------------------------------------------


def test_offset_and_drift_are_found_in_spite_of_jitter_and_wild_pairs(rng: np.random.Generator) -> None:
    own = np.sort(rng.uniform(0, HOUR, 400))
    common = on_common(own) + rng.normal(0, 0.003, 400)
    common[rng.choice(400, 60, replace=False)] += rng.uniform(0.5, 30, 60)
    clock = fit_clock(own, common, source="test")
    assert clock.offset == pytest.approx(OFFSET, abs=1e-3)
    assert clock.drift == pytest.approx(DRIFT, abs=5)
    assert clock.jitter == pytest.approx(0.003, rel=0.3)
    assert clock.source == "test"
    plain = np.polyfit(own, common, 1)
    assert abs(plain[1] - OFFSET) > 0.1, "least squares is moved by them"


def test_the_line_is_least_squares_where_nothing_is_wild(rng: np.random.Generator) -> None:
    x = rng.uniform(-5, 5, 50)
    y = 3 + 2 * x + rng.uniform(-1, 1, 50)
    slope, intercept = np.polyfit(x, y, 1)
    assert robust_line(x, y, threshold=100) == pytest.approx((intercept, slope))
    assert robust_line(np.array([1.0, 2.0]), np.array([5.0, 7.0])) == pytest.approx((3, 2))


@pytest.mark.parametrize(
    ("own", "common"),
    [([1.0], [2.0]), ([1.0, 1.0], [2.0, 3.0]), ([1.0, np.nan], [2.0, 3.0]), ([1.0, 1e300], [2.0, 3.0]), ([], [])],
)
def test_pairs_that_make_no_line_are_refused(own: list[float], common: list[float]) -> None:
    with pytest.raises(DataError, match="A line needs"):
        fit_clock(np.array(own), np.array(common))


def test_a_drift_that_no_clock_has_is_refused() -> None:
    with pytest.raises(DataError, match=r"drift of 999000000 parts per million.*in seconds"):
        fit_clock(np.arange(10.0), 1000 * np.arange(10.0))


# ---- marks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_shared_marks_tell_the_clock_though_some_are_missing_on_either_side(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marks = np.sort(rng.uniform(0, HOUR, 30))
    own = np.delete(marks, [3, 4, 20]) + rng.normal(0, 0.0003, 27)
    common = on_common(np.delete(marks, [0, 11, 29])) + rng.normal(0, 0.0003, 27)
    own = rng.permutation(np.append(own, rng.uniform(0, HOUR, 5)))
    common = rng.permutation(np.append(common, rng.uniform(0, HOUR, 6)))
    clock = clock_from_events(own, common, source="taps")
    assert clock.offset == pytest.approx(OFFSET, abs=1e-3)
    assert clock.drift == pytest.approx(DRIFT, abs=5)
    assert clock.source == "taps: 24 pairs of 32 and 33 marks"


def test_few_marks_tell_an_offset_and_say_that_the_drift_is_not_known() -> None:
    assert clock_from_events([10], [12.5]) == Clock(2.5, source="shared events: 1 pair, drift not estimated")
    clock = clock_from_events([10, 17.2], [12.5, 19.7])
    assert (clock.offset, clock.drift) == (pytest.approx(2.5), 0)
    assert "2 pairs, drift not estimated" in clock.source


def test_marks_that_leave_a_doubt_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match="uneven distances would tell"):
        clock_from_events(np.arange(10) * 5.0, np.arange(12) * 5.0)
    with pytest.raises(DataError, match="no offset in common"):
        clock_from_events([0, 10], [0, 17])
    with pytest.raises(DataError, match="cannot be told"):
        clock_from_events([0], [0, 17])
    with pytest.raises(DataError, match="one or more"):
        clock_from_events([], [1.0])
    with pytest.raises(DataError, match=r"uneven distances|Only|no offset"):
        clock_from_events(rng.uniform(0, HOUR, 20), rng.uniform(0, HOUR, 20), tolerance=0.02)


# ---- movement ----------------------------------------------------------------------------------------------------


def test_what_two_accelerometers_felt_tells_the_clock_whichever_way_they_were_worn(rng: np.random.Generator) -> None:
    times = np.arange(0, 1200, 1 / 64)
    bumps = 1 + movement(times)
    common = Signal(np.stack([0.6 * bumps, 0.8 * bumps, 0 * bumps]).astype(np.float32), 64, ("x", "y", "z"), "g")
    own_times = np.arange(0, 1150, 1 / 32)
    felt = 1 + movement(on_common(own_times)) + rng.normal(0, 0.05, len(own_times))
    own = Signal(np.stack([0 * felt, 0 * felt, -felt]).astype(np.float32), 32, ("x", "y", "z"), "g")
    clock = clock_from_signals(own, common)
    assert clock.offset == pytest.approx(OFFSET, abs=1e-3)
    assert clock.drift == pytest.approx(DRIFT, abs=5)
    assert "of 19 of 19 stretches: ±" in clock.source


def test_movement_without_anything_in_common_is_refused(rng: np.random.Generator) -> None:
    times = np.arange(0, 600, 1 / 32)
    one = Signal(movement(times)[None].astype(np.float32), 32, ("x",), "g")
    other = Signal(rng.normal(size=(1, len(times))).astype(np.float32), 32, ("x",), "g")
    with pytest.raises(DataError, match=r"0 of .* stretches .* clear peak.*same movement"):
        clock_from_signals(other, one)
    # what repeats itself fits at many lags: no peak is the highest
    periodic = Signal(np.sin(2 * np.pi * times)[None].astype(np.float32), 32, ("x",), "g")
    with pytest.raises(DataError, match="clear peak"):
        clock_from_signals(periodic, periodic)
    flat = Signal(np.ones((1, 500), np.float32), 32, ("x",), "g")
    with pytest.raises(DataError, match="clear peak"):
        clock_from_signals(flat, one)


# ---- time stamps -------------------------------------------------------------------------------------------------


def test_jitter_is_removed_and_the_rate_told(rng: np.random.Generator) -> None:
    true = 500 + np.arange(5000) / 100 * (1 + DRIFT * 1e-6)
    steady = dejitter(true + rng.normal(0, 0.004, 5000), 100)
    assert steady.parts == ((0, 5000),)
    np.testing.assert_allclose(steady.stamps, true, atol=3e-4)
    assert np.ptp(np.diff(steady.stamps)) < 1e-9
    assert (steady.rate / 100 - 1) * 1e6 == pytest.approx(-DRIFT, abs=10)
    assert steady.jitter == pytest.approx(0.004, rel=0.1)


@pytest.mark.parametrize("rate", [1, 4, 32, 256])
def test_a_gap_is_found_at_any_rate(rate: float, rng: np.random.Generator) -> None:
    n = 400 if rate < 10 else 4000
    true = np.arange(n) / rate
    true[n // 2 :] += 12.3
    steady = dejitter(true + rng.uniform(0, 0.1 / rate, n), rate)
    assert steady.parts == ((0, n // 2), (n // 2, n))
    np.testing.assert_allclose(steady.stamps, true + 0.05 / rate, atol=0.03 / rate)
    assert steady.rate == pytest.approx(rate, rel=1e-3)


def test_data_that_come_in_bursts_are_no_gaps(rng: np.random.Generator) -> None:
    true = np.arange(2000) / 4
    arrival = np.repeat(true[9::10], 10) + rng.uniform(0, 0.2, 2000)  # ten at a time, once all are there
    assert np.diff(arrival).max() > 2
    steady = dejitter(np.sort(arrival), 4)
    assert steady.parts == ((0, 2000),)
    assert steady.rate == pytest.approx(4, rel=1e-3)
    held_up = np.maximum(true, np.where((true > 100) & (true < 107), 107, 0)) + 1e-4 * np.arange(2000) / 2000
    assert dejitter(held_up, 4).parts == ((0, 2000),), "sent late, taken on time"


@pytest.mark.parametrize(
    ("stamps", "why"),
    [
        (np.concatenate([np.arange(500), np.arange(100, 600)]) / 10, "time runs back behind sample 499"),
        (np.zeros(100), "do not increase"),
        (np.arange(1000, 0, -1) / 10, "do not increase"),
        (np.array([0, 0.1, np.nan, 0.3]), "sample 2 has the time stamp nan"),
        (np.array([0, 0.1, 1e300]), "sample 2 has the time stamp 1e\\+300"),
    ],
)
def test_times_that_are_none_are_refused(stamps: np.ndarray, why: str) -> None:
    with pytest.raises(DataError, match=why):
        dejitter(stamps, 10)


def test_none_and_one_time_stamp_are_as_they_are() -> None:
    assert dejitter(np.array([]), 10).parts == ()
    assert dejitter(np.array([3.0]), 10).stamps.tolist() == [3.0]


# ---- the grid ----------------------------------------------------------------------------------------------------


def test_samples_on_the_grid_stay_as_they_are_and_gaps_are_missing(rng: np.random.Generator) -> None:
    samples = rng.normal(size=(2, 40)).astype(np.float32)
    stamps = 7 + np.delete(np.arange(50), np.s_[20:30]) / 10
    placed = place(samples, stamps, 10)
    assert placed.start == 7
    assert placed.data.dtype == np.float32
    assert placed.data.shape == (2, 50)
    np.testing.assert_array_equal(placed.data[:, :20], samples[:, :20])
    assert np.isnan(placed.data[:, 20:30]).all()
    np.testing.assert_array_equal(placed.data[:, 30:], samples[:, 20:])
    np.testing.assert_allclose(placed.gaps, [(9, 10)])


def test_between_samples_the_value_is_on_the_line_of_its_two_neighbours(rng: np.random.Generator) -> None:
    stamps = np.concatenate([[0.0], np.sort(rng.uniform(0.05, 9.95, 400)), [10.0]])
    samples = rng.normal(size=(1, 402))
    placed = place(samples, stamps, 20, gap=1e9)
    grid = np.arange(201) / 20
    between = np.abs(stamps[:, None] - grid).min(axis=0) > 0.01 / 20  # the others take the sample that is there
    assert between.sum() > 150
    np.testing.assert_allclose(placed.data[0, between], np.interp(grid, stamps, samples[0])[between], rtol=1e-5)
    line = place((3 * stamps - 1)[None], stamps, 20, gap=1e9)
    np.testing.assert_allclose(line.data[0], 3 * np.arange(201) / 20 - 1, atol=0.01)


def test_a_missing_sample_misses_to_its_neighbours_only() -> None:
    samples = np.arange(10.0)[None].copy()
    samples[0, 4] = np.nan
    placed = place(samples, np.concatenate([[0], np.arange(1, 10) + 0.5]), 1, gap=1.6)
    assert np.flatnonzero(np.isnan(placed.data[0])).tolist() == [4, 5]
    exact = place(samples, np.arange(10.0), 1)
    assert np.flatnonzero(np.isnan(exact.data[0])).tolist() == [4]


@pytest.mark.parametrize(
    ("stamps", "rate", "why"),
    [
        ([0.0, 1.0, 1.0], 1, "increase"),
        ([0.0, np.nan, 1.0], 1, "finite"),
        ([0.0, 1.0], 1, "not those of samples"),
        ([0.0, 1.0, 2.0], 0, "above 0"),
        ([0.0, 1.0, 1e9], 100, "do not follow each other at 100 Hz"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_it_takes_memory(
    stamps: list[float], rate: float, why: str
) -> None:
    with pytest.raises(DataError, match=why):
        place(np.zeros((1, 3)), np.array(stamps), rate)


# ---- whole recordings --------------------------------------------------------------------------------------------


def slow(times: np.ndarray) -> np.ndarray:
    """Something that a slow sensor follows: a few slow waves that never repeat."""
    return np.sin(0.9 * times) + np.cos(0.37 * times) + 0.3 * np.sin(2.1 * times + 1)


def test_a_sensor_is_put_where_it_was_and_would_be_wrong_without() -> None:
    own = np.arange(int(HOUR * 32)) / 32
    recorded = slow(on_common(own))
    recording = Recording(
        "p1",
        {
            "eda": Signal(recorded[None].astype(np.float32), 32, ("eda",), "µS"),
            "eeg": Signal(np.zeros((1, 100), np.float32), 100, ("Cz",), "µV"),
        },
        events=(Event("rest", 0, 1),),
        traces={"dial": Trace(np.arange(3.0), np.zeros(3, np.float32))},
    )
    whole = align(recording, {"eda": Clock(OFFSET, DRIFT, source="test")})
    moved = whole.signals["eda"]
    assert (moved.rate, moved.start, moved.channels) == (32, OFFSET, ("eda",))
    times = moved.start + np.arange(moved.data.shape[1]) / 32
    assert moved.end == pytest.approx(on_common(own)[-1] + 1 / 32, abs=1 / 32)
    np.testing.assert_allclose(moved.data[0], slow(times), atol=1e-3)
    shifted = align(recording, {"eda": Clock(OFFSET)}).signals["eda"]  # the offset alone
    late = OFFSET + own[-3200:]
    assert np.abs(shifted.data[0, -3200:] - slow(late)).max() > 0.2, "0.2 s off after an hour"
    assert whole.signals["eeg"] is recording.signals["eeg"]
    assert (whole.events, whole.traces) == (recording.events, recording.traces)
    assert whole.clocks == {"eda": Clock(OFFSET, DRIFT, source="test")}
    assert recording.clocks == {}


def test_what_is_found_is_what_undoes_it(rng: np.random.Generator) -> None:
    taps = np.sort(rng.uniform(0, 1000, 12))
    clock = clock_from_events(on_own(taps) + rng.normal(0, 5e-4, 12), taps)
    own = np.arange(0, 1000, 0.25)
    recording = Recording("p1", {"eda": Signal(slow(on_common(own))[None].astype(np.float32), 4, ("eda",), "µS")})
    moved = align(recording, {"eda": clock}).signals["eda"]
    times = moved.start + np.arange(moved.data.shape[1]) / 4
    assert np.sqrt(np.nanmean(np.square(moved.data[0] - slow(times)))) < 0.02


def test_a_late_start_is_on_the_sensors_clock_too_and_small_drifts_cost_no_interpolation() -> None:
    data = np.arange(100, dtype=np.float32)[None]
    recording = Recording("p1", {"eda": Signal(data, 4, ("eda",), "µS", start=1000.0)})
    moved = align(recording, {"eda": Clock(2.0, 50)})
    assert moved.signals["eda"].start == pytest.approx(2 + 1000 * (1 + 50e-6))
    assert moved.clocks["eda"].offset == moved.signals["eda"].start
    assert moved.signals["eda"].data is data, "50 ppm are 0.005 of a sample here"


def test_clocks_of_nothing_and_of_no_clock_are_refused() -> None:
    recording = Recording("p1", {"eda": Signal(np.zeros((1, 10), np.float32), 4, ("eda",), "µS")})
    with pytest.raises(DataError, match=r"no signal 'edaa' to align. Did you mean 'eda'"):
        align(recording, {"edaa": Clock()})
    for clock in (Clock(np.nan), Clock(0, 2e4), Clock(0, np.nan)):
        with pytest.raises(DataError, match="The clock of eda"):
            align(recording, {"eda": clock})
