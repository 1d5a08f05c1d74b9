"""Intervals: what is left out, and beats that were missed, false or out of turn are mended as neurokit2 mends them."""

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.signals import correct_intervals, normal_intervals


def breathing_beats(n: int, rng: np.random.Generator) -> np.ndarray:
    """Beats whose intervals swing with breathing."""
    phase = 0.8 * np.arange(n)
    swings = 0.04 * np.sin(2 * np.pi * 0.1 * phase) + 0.05 * np.sin(2 * np.pi * 0.25 * phase)
    return 0.5 + np.cumsum(0.8 + swings + rng.normal(0, 0.01, n))


def sdnn_rmssd(beats: np.ndarray) -> np.ndarray:
    intervals = np.diff(beats)
    return np.array([intervals.std(ddof=1), np.sqrt(np.mean(np.square(np.diff(intervals))))])


def corrupted(beats: np.ndarray, which: str, rng: np.random.Generator) -> np.ndarray:
    places = np.arange(10, len(beats) - 10, 25) + rng.integers(0, 8)
    if which == "missed":
        return np.delete(beats, places)
    if which == "extra":
        return np.sort(np.concatenate([beats, beats[places] + 0.35]))
    moved = beats.copy()
    moved[places] -= 0.25  # an early beat with a pause behind it
    return moved


@pytest.mark.parametrize("which", ["missed", "extra", "ectopic"])
@pytest.mark.parametrize("seed", range(5))
def test_mended_beats_have_the_variability_of_the_clean_ones(which, seed):
    rng = np.random.default_rng(seed)
    clean = breathing_beats(150, rng)
    spoilt = corrupted(clean, which, rng)
    assert (np.abs(sdnn_rmssd(spoilt) / sdnn_rmssd(clean) - 1) > 0.2).any()
    mended = correct_intervals(spoilt)
    mended = mended[np.isfinite(mended)]
    assert len(mended) == len(clean)
    np.testing.assert_allclose(sdnn_rmssd(mended), sdnn_rmssd(clean), rtol=0.1)


def test_mending_is_that_of_neurokit(rng):
    for trial in range(25):
        beats = breathing_beats(int(rng.integers(12, 150)), rng)
        place = int(rng.integers(4, len(beats) - 4))
        spoilt = [beats, np.delete(beats, place), np.sort(np.append(beats, beats[place] + 0.3))][trial % 3]
        samples = np.rint(4000 * spoilt).astype(int)
        _, expected = nk.signal_fixpeaks(samples, sampling_rate=4000, method="Kubios")
        found = correct_intervals(samples / 4000)
        np.testing.assert_allclose(found[np.isfinite(found)], expected / 4000, atol=0.001)


def test_each_row_is_mended_by_itself(rng):
    rows = [corrupted(breathing_beats(n, rng), which, rng) for n, which in ((60, "missed"), (90, "extra"), (8, "none"))]
    rows.append(np.full(3, np.nan))
    together = np.full((4, 100), np.nan)
    for index, row in enumerate(rows):
        together[index, : len(row)] = row
    mended = correct_intervals(together)
    for index, row in enumerate(rows):
        alone = correct_intervals(row)
        np.testing.assert_array_equal(mended[index][np.isfinite(mended[index])], alone[np.isfinite(alone)])
    np.testing.assert_array_equal(correct_intervals(rows[2]), rows[2])
    assert correct_intervals(np.empty((3, 0))).shape == (3, 0)
    assert correct_intervals(np.empty((0, 5))).shape[0] == 0


@given(st.lists(st.floats(0.05, 4), max_size=60), st.integers(0, 10))
@settings(max_examples=25, deadline=None)
def test_mended_beats_increase_whatever_was_found(intervals, padding):
    beats = np.concatenate([np.cumsum(intervals), np.full(padding, np.nan)])
    mended = correct_intervals(beats)
    count = np.isfinite(mended).sum()
    assert np.isnan(mended[count:]).all()
    assert (np.diff(mended[:count]) >= 0).all()


def test_an_interval_over_a_missed_beat_is_not_counted():
    intervals = normal_intervals(np.delete(np.arange(20) * 0.8, 7))
    assert intervals.shape == (18,)
    assert np.flatnonzero(np.isnan(intervals)).tolist() == [6]
    assert np.nanmin(intervals) == np.nanmax(intervals) == 0.8
    assert np.isfinite(np.diff(intervals)).sum() == 15


def test_intervals_that_no_heart_has_are_left_out():
    beats = np.cumsum([0, 0.8, 0.8, 0.2, 2.5, 0.8, 1.2, 0.75])
    intervals = normal_intervals(np.stack([beats, np.full(8, np.nan)]))
    np.testing.assert_array_equal(np.isfinite(intervals[0]), [True, True, False, False, True, False, True])
    assert np.isnan(intervals[1]).all()
    assert normal_intervals(np.empty((2, 0))).shape == (2, 0)


@pytest.mark.parametrize("number", [2, 5, 10])
def test_what_a_false_beat_leaves_of_an_interval_is_left_out(number):
    beats = 0.4 + 1.2 * np.arange(50)
    false = beats[3 :: 45 // number][:number] + 0.3  # 0.9 s are left, three quarters of an interval
    intervals = normal_intervals(np.sort(np.append(beats, false)))
    np.testing.assert_allclose(intervals[np.isfinite(intervals)], 1.2)
    assert np.isfinite(intervals).sum() == 49 - number


def test_a_normal_interval_beside_one_that_is_too_short_stays():
    intervals = normal_intervals(np.cumsum([0, 0.8, 0.82, 0.5, 1.15, 0.78, 0.8]))
    np.testing.assert_array_equal(np.isfinite(intervals), [True, True, False, False, True, True])
