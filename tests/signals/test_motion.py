"""Movement and posture of a three-axis accelerometer agree with their definitions and with geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, StudyError
from limbeck.signals import motion, parse_steps

MOVEMENT = ("energy", "mad", "enmo", "jerk", "dominant_frequency", "still_share", "magnitude")
ALL = (*MOVEMENT, "pitch", "roll", "angle_z")


def named(x: np.ndarray, rate: float = 32, **options: float) -> dict[str, np.ndarray]:
    return dict(zip(ALL, np.moveaxis(motion(x, rate, ALL, **options), -1, 0), strict=True))


def worn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Samples (*shape, 3, 320) of a wrist that holds a posture and moves."""
    return np.array([[0.3], [-0.5], [0.8]]) + 0.1 * rng.normal(size=(*shape, 3, 320))


def test_every_kind_agrees_with_its_definition(rng):
    x = worn(rng, 2, 2)
    values = named(x)
    for index in np.ndindex(2, 2):
        axes = x[index]
        length = [np.linalg.norm(axes[:, i]) for i in range(320)]
        mean = axes.mean(axis=1)
        steps = [np.linalg.norm(axes[:, i + 1] - axes[:, i]) for i in range(319)]
        expected = {
            "energy": np.mean([np.linalg.norm(axes[:, i] - mean) ** 2 for i in range(320)]),
            "mad": np.mean(np.abs(length - np.mean(length))),
            "enmo": np.mean([max(each - 1, 0) for each in length]),
            "jerk": np.mean(steps) * 32,
            "still_share": np.mean(np.abs(length - np.mean(length)) < 0.05),
            "magnitude": np.mean(length),
            "angle_z": np.degrees(np.arcsin(mean[2] / np.linalg.norm(mean))),
            "pitch": np.degrees(np.arcsin(-mean[0] / np.linalg.norm(mean))),
        }
        for kind, value in expected.items():
            assert values[kind][index] == pytest.approx(value), kind


@pytest.mark.parametrize(
    ("direction", "pitch", "roll", "angle_z"),
    [
        ((0, 0, 1), 0, 0, 90),
        ((0, 1, 0), 0, 90, 0),
        ((0, 0, -1), 0, 180, -90),
        ((0, 1, 1), 0, 45, 45),
        ((-1, 0, 1), 45, 0, 45),
    ],
)
def test_postures_have_the_angles_of_geometry(direction, pitch, roll, angle_z):
    vector = np.array(direction) / np.linalg.norm(direction)
    values = named(np.repeat(vector[:, np.newaxis], 64, axis=1))
    assert values["pitch"] == pytest.approx(pitch, abs=1e-9)
    assert values["roll"] == pytest.approx(roll, abs=1e-9)
    assert values["angle_z"] == pytest.approx(angle_z, abs=1e-9)


@pytest.mark.parametrize("rate", [25, 32, 100])
def test_shaking_has_its_frequency_and_energy(rate):
    times = np.arange(20 * rate) / rate
    x = np.stack([0.2 * np.sin(2 * np.pi * 3 * times), 0.2 * np.cos(2 * np.pi * 3 * times), np.ones_like(times)])
    values = named(x, rate)
    assert values["dominant_frequency"] == pytest.approx(3)
    assert values["energy"] == pytest.approx(0.04)
    assert values["mad"] == pytest.approx(0, abs=1e-9)  # its magnitude does not change
    assert values["enmo"] == pytest.approx(np.sqrt(1.04) - 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sensor_at_rest_does_not_move(dtype):
    values = named(np.repeat(np.array([[[0.1], [0.2], [0.97]]], dtype=dtype), 320, axis=-1))
    for kind in ("energy", "jerk"):
        assert values[kind] == 0
    assert values["mad"] == pytest.approx(0, abs=1e-12)
    assert values["still_share"] == 1
    assert np.isnan(values["dominant_frequency"])
    assert np.isfinite([values["pitch"], values["roll"], values["angle_z"]]).all()


def test_without_gravity_there_is_no_posture(rng):
    x = worn(rng, 3)
    values = named(x - x.mean(axis=-1, keepdims=True))
    assert np.isnan([values["pitch"], values["roll"], values["angle_z"]]).all()
    assert np.isfinite(values["energy"]).all()


def test_the_threshold_of_stillness_is_the_users(rng):
    x = worn(rng)
    assert (
        named(x, still=0.01)["still_share"]
        < named(x, still=0.1)["still_share"]
        < named(x, still=10)["still_share"]
        == 1
    )


def test_a_bad_row_is_nan_and_leaves_the_others_as_they_are(rng):
    x = worn(rng, 70).astype(np.float32)
    clean = motion(x, 32, ALL)
    x[3, 1, 7], x[50, 2] = np.nan, np.inf
    values = motion(x, 32, ALL)
    bad = np.isin(np.arange(70), [3, 50])
    assert np.isnan(values[bad]).all()
    np.testing.assert_array_equal(values[~bad], clean[~bad])


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_movement_does_not_depend_on_how_the_sensor_is_turned(seed):
    rng = np.random.default_rng(seed)
    x = worn(rng, 3)
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ x
    values, others = named(x), named(turned)
    for kind in MOVEMENT:
        np.testing.assert_allclose(others[kind], values[kind], rtol=1e-7, err_msg=kind)
    whole = motion(x, 32, ALL)
    np.testing.assert_array_equal(motion(x[::-1], 32, ALL), whole[::-1])
    np.testing.assert_allclose(np.stack([motion(row, 32, ALL) for row in x]), whole, rtol=1e-12)


@given(st.floats(0.1, 10), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_scaling_scales_movement_and_keeps_posture(scale, seed):
    x = 2 * worn(np.random.default_rng(seed), 2)
    values, others = named(x), named(scale * x)
    for kind, factor in {"energy": scale**2, "mad": scale, "jerk": scale, "magnitude": scale}.items():
        np.testing.assert_allclose(others[kind], factor * values[kind], rtol=1e-9, err_msg=kind)
    for kind in ("pitch", "roll", "angle_z", "dominant_frequency"):
        np.testing.assert_allclose(others[kind], values[kind], rtol=1e-9, err_msg=kind)


def test_a_study_gets_columns_of_the_three_axes_together(rng):
    pipeline = parse_steps([{"features": ["motion", {"statistics": [["mean"]]}]}], modality="acc")
    made = pipeline.on_windows(worn(rng, 4).astype(np.float32), 32, ("x", "y", "z"))
    assert made.features is not None
    assert made.features[3:5] == ("acc.xyz.motion.energy", "acc.xyz.motion.mad")
    assert made.data.shape == (4, 3 + 6)


def test_recordings_of_a_wrist_hold_gravity(shared_data):
    file = shared_data / "stress-predict" / "Raw_data" / "S02" / "ACC.csv"
    samples = np.loadtxt(file, delimiter=",", skiprows=2, max_rows=320 * 200).T / 64
    values = named(samples.reshape(3, -1, 320).swapaxes(0, 1))
    assert np.median(values["magnitude"]) == pytest.approx(1, abs=0.03)
    assert 0.5 < np.median(values["still_share"]) <= 1
    assert np.corrcoef(values["energy"], values["jerk"])[0, 1] > 0.3


def test_other_than_three_axes_are_refused(rng):
    with pytest.raises(DataError, match=r"three axes .* found 2 channels"):
        motion(worn(rng)[:2], 32)
    with pytest.raises(DataError, match=r"\(..., 3, n_times\); found shape \(320,\)"):
        motion(worn(rng)[0], 32)
    pipeline = parse_steps([{"features": ["motion"]}], modality="acc")
    with pytest.raises(DataError, match=r"signals.acc, motion: .* found 1 channels"):
        pipeline.on_windows(worn(rng, 2)[:, :1], 32, ("magnitude",))
    with pytest.raises(StudyError, match="still must be a number above 0 g"):
        parse_steps([{"features": [{"motion": {"still": 0}}]}], modality="acc")
    for wrong in ("a", np.nan, np.inf, None, True):
        with pytest.raises(DataError, match="Still must be a number above 0 g"):
            motion(worn(rng), 32, still=wrong)
    with pytest.raises(DataError, match="At least 4 samples"):
        motion(worn(rng)[:, :3], 32)


def test_a_slow_turn_of_the_wrist_is_not_the_dominant_movement(rng):
    rate = 32
    seconds = np.arange(60 * rate) / rate
    turning = 0.8 * np.sin(2 * np.pi * seconds / 60)
    tremor = 0.05 * np.sin(2 * np.pi * 4 * seconds)
    x = np.stack([turning, tremor, np.sqrt(1 - turning**2)]) + 0.002 * rng.normal(size=(3, len(seconds)))
    assert motion(x, rate, ["dominant_frequency"])[0] == pytest.approx(4)
    assert np.isnan(motion(x[:, ::64], 0.5, ["dominant_frequency"])[0])  # 0.25 Hz is all that it can hold
