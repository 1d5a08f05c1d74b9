"""Heart rate variability agrees with neurokit2 on the same beats, and says nothing where there is nothing to say."""

import neurokit2 as nk
import numpy as np
import pytest

from limbeck.signals.variability import VARIABILITY, Rhythm


def beats_with(swings: dict[float, float], n: int, rng: np.random.Generator) -> np.ndarray:
    """Beats, to the millisecond, whose intervals swing at frequencies (Hz) by amplitudes (s)."""
    time = 0.85 * np.arange(n)
    waves = sum(size * np.sin(2 * np.pi * frequency * time) for frequency, size in swings.items())
    return np.rint(1000 * np.cumsum(0.85 + waves + rng.normal(0, 0.008, n))) / 1000


def values(beats: np.ndarray, duration: float | None = None) -> dict[str, float]:
    rhythm = Rhythm(beats[np.newaxis], duration or beats[-1])
    return {kind: float(compute(rhythm)[0]) for kind, compute in VARIABILITY.items()}


@pytest.mark.parametrize("n", [70, 330])
def test_time_domain_poincare_and_entropy_agree_with_neurokit(n, rng):
    for _ in range(5):
        beats = beats_with({0.1: rng.uniform(0.01, 0.05), 0.3: rng.uniform(0.01, 0.05)}, n, rng)
        samples = np.rint(1000 * beats).astype(int)
        time, other = nk.hrv_time(samples, 1000).iloc[0], nk.hrv_nonlinear(samples, 1000).iloc[0]
        found = values(beats)
        differences = (n - 1) / (n - 2)  # neurokit2 divides by the intervals, not by their differences
        expected = {
            "period": time.HRV_MeanNN / 1000,
            "period_median": time.HRV_MedianNN / 1000,
            "sdnn": time.HRV_SDNN,
            "rmssd": time.HRV_RMSSD,
            "sdsd": time.HRV_SDSD,
            "cvnn": time.HRV_CVNN,
            "mad": time.HRV_MadNN,
            "range": time.HRV_MaxNN - time.HRV_MinNN,
            "pnn50": time.HRV_pNN50 / 100 * differences,
            "pnn20": time.HRV_pNN20 / 100 * differences,
            "sd1": other.HRV_SD1,
            "sd2": other.HRV_SD2,
            "sd1_sd2": other.HRV_SD1SD2,
            "ellipse": other.HRV_S,
            "sampen": other.HRV_SampEn if np.isfinite(other.HRV_SampEn) else np.nan,
        }
        np.testing.assert_allclose([found[kind] for kind in expected], list(expected.values()), rtol=1e-9)
        assert found["count"] == n
        assert found["valid"] == 1


def test_powers_agree_with_neurokit_where_windows_differ_in_nothing_else(rng):
    # neurokit2 averages three halves and sums by trapezia: the same powers, with more scatter over short windows
    found, expected = [], []
    for _ in range(20):
        beats = beats_with({0.1: rng.uniform(0.01, 0.05), 0.28: rng.uniform(0.01, 0.05)}, 330, rng)
        theirs = nk.hrv_frequency(np.rint(1000 * beats).astype(int), 1000, normalize=False).iloc[0]
        ours = values(beats)
        found.append([ours[kind] for kind in ("lf", "hf", "lf_hf", "total")])
        expected.append([theirs.HRV_LF, theirs.HRV_HF, theirs.HRV_LFHF, theirs.HRV_TP])
    found, expected = np.log(found), np.log(expected)
    for column in range(4):
        assert np.corrcoef(found[:, column], expected[:, column])[0, 1] > 0.99
    np.testing.assert_allclose(np.median(found - expected, axis=0), 0, atol=0.06)


@pytest.mark.parametrize(("frequency", "kind"), [(0.02, "vlf"), (0.1, "lf"), (0.25, "hf")])
def test_a_swing_has_half_its_amplitude_squared_in_its_band(frequency, kind, rng):
    found = values(beats_with({frequency: 0.04}, 400, rng))
    assert found[kind] == pytest.approx(0.5 * 40**2, rel=0.15)
    others = {"vlf", "lf", "hf"} - {kind}
    assert all(found[other] < 0.15 * found[kind] for other in others)
    assert found["total"] == pytest.approx(found["vlf"] + found["lf"] + found["hf"], rel=0.02)
    assert found["lf_norm"] + found["hf_norm"] == pytest.approx(1)


def test_what_too_few_beats_cannot_give_is_nan():
    short = values(np.array([0.5, 1.3, 2.12, 2.9, 3.72]), 5)
    given = {kind for kind, value in short.items() if np.isfinite(value)}
    absent = {"vlf", "lf", "hf", "total", "lf_hf", "lf_norm", "hf_norm", "sampen"}
    assert set(VARIABILITY) - given == absent
    two = values(np.array([0.5, 1.3, 2.1]), 2.6)
    assert {kind for kind, value in two.items() if np.isfinite(value)} == {
        "hr",
        "period",
        "period_median",
        "count",
        "valid",
    }
    none = values(np.full(4, np.nan), 5)
    assert none.pop("count") == none.pop("valid") == 0
    assert np.isnan(list(none.values())).all()


def test_a_metronome_has_no_variability_and_no_ratios_of_it():
    found = values(0.4 + 0.8 * np.arange(100), 80)
    zero = ("sdnn", "rmssd", "pnn50", "pnn20", "sdsd", "cvnn", "mad", "range", "slope", "sd1", "sd2", "ellipse")
    assert [found[kind] for kind in zero] == [0] * len(zero)
    assert [found[kind] for kind in ("lf", "hf", "total")] == [0, 0, 0]
    assert np.isnan([found[kind] for kind in ("sd1_sd2", "lf_hf", "lf_norm", "hf_norm", "sampen")]).all()
    assert found["hr"] == pytest.approx(75)


def test_slope_is_what_a_slowing_heart_loses_per_second():
    times = [0.5]
    while times[-1] < 60:
        times.append(
            times[-1] + (0.7 + 0.002 * times[-1]) / (1 - 0.002)
        )  # the interval that ends at t is 0.7 + 0.002 t
    assert values(np.array(times))["slope"] == pytest.approx(2, rel=1e-6)


def test_windows_with_many_gaps_are_not_valid():
    beats = 0.4 + 0.8 * np.arange(75)
    assert values(beats, 60)["valid"] == 1
    assert values(np.delete(beats, [20, 40, 60]), 60)["valid"] == 1
    assert values(np.delete(beats, np.arange(10, 60, 5)), 60)["valid"] == 0
    assert values(beats[:40], 60)["valid"] == 0
    for few in (values(beats[:40], 60), values(np.array([0.5, 2.2, 3.9]), 5)):  # two slow intervals in 5 s: by chance
        assert few["valid"] == 0
        assert {kind for kind, value in few.items() if np.isfinite(value)} == {"count", "valid"}


def test_windows_whose_waves_are_not_alike_are_not_valid():
    beats = np.tile(0.4 + 0.8 * np.arange(75), (3, 1))
    rhythm = Rhythm(beats, 60, np.array([0.2, 0.8, np.nan]))
    np.testing.assert_array_equal(rhythm.valid, [0, 1, 0])
    np.testing.assert_array_equal(np.isfinite(VARIABILITY["hr"](rhythm)), [False, True, False])


def test_missed_beats_do_not_swell_the_slow_band(rng):
    shares = []
    for _ in range(60):
        clean = beats_with({0.1: rng.uniform(0.01, 0.05), 0.27: rng.uniform(0.01, 0.05)}, 75, rng)
        gappy = np.delete(clean, 10 + 13 * np.arange(4) + rng.integers(0, 8, 4))
        found, expected = values(gappy, 64), values(clean, 64)
        assert found["valid"] == 1
        assert np.isnan([found[kind] for kind in ("hf", "lf_hf", "lf_norm", "hf_norm")]).all()
        shares.append([found[kind] / expected[kind] for kind in ("lf", "total")])
    np.testing.assert_allclose(np.median(shares, axis=0), 1, atol=0.15)
    assert np.max(shares) < 3


def test_one_missed_beat_in_a_minute_leaves_the_fast_band_as_it_is(rng):
    shares = []
    for _ in range(60):
        clean = beats_with({0.1: rng.uniform(0.01, 0.05), 0.27: rng.uniform(0.01, 0.05)}, 75, rng)
        found, expected = values(np.delete(clean, rng.integers(5, 70)), 64), values(clean, 64)
        shares.append([found[kind] / expected[kind] for kind in ("hf", "lf_hf", "lf_norm", "hf_norm")])
    np.testing.assert_allclose(np.median(shares, axis=0), 1, atol=0.05)
    assert np.quantile(shares, 0.95, axis=0).max() < 1.5


def test_a_gap_is_as_long_as_the_intervals_that_are_not_normal(rng):
    beats = 0.4 + np.cumsum(60 / 70 + rng.normal(0, 0.01, 68))
    assert np.isfinite(values(np.delete(beats, [30, 31]), 60)["lf"])  # three intervals, 2.6 s
    assert np.isnan(values(np.delete(beats, [30, 31, 32]), 60)["lf"])  # four, 3.4 s


def test_a_gap_of_more_than_three_seconds_leaves_no_spectrum(rng):
    beats = beats_with({0.1: 0.03, 0.27: 0.03}, 75, rng)
    found = values(np.delete(beats, [30, 31, 32, 33]), 64)
    assert found["valid"] == 1
    assert np.isfinite(found["rmssd"])
    assert np.isnan([found[kind] for kind in ("lf", "hf", "total", "lf_hf", "lf_norm", "hf_norm")]).all()
