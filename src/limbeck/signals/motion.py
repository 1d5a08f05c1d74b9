"""Motion: how much, how and in which posture a three-axis accelerometer moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import above_zero, as_signal, refuse
from limbeck.signals.kinds import feature
from limbeck.signals.rowwise import compute_rows
from limbeck.signals.spectral import unknown_kinds

__all__ = ["motion"]

LEAST_GRAVITY = 0.1
"""g; a shorter mean acceleration has no direction that would tell a posture."""

SLOWEST = 0.3
"""Hz, the slowest movement that can be the dominant one: at the wrist, what is slower is change of posture, which has
most of the power of nearly every window."""


class _Motion:
    """Windows (n_rows, 3, n_times) in g, and what several kinds share."""

    def __init__(self, rows: np.ndarray, flat: np.ndarray, rate: float, still: float) -> None:
        self.x, self.rate, self.still = rows, rate, still
        self.gravity = rows.mean(axis=-1)
        # an axis that rests must not be left with rounding noise
        self.moving = np.where(flat[..., np.newaxis], 0.0, rows - self.gravity[..., np.newaxis])

    @cached_property
    def magnitude(self) -> np.ndarray:
        return np.sqrt(np.square(self.x).sum(axis=-2))

    @cached_property
    def deviation(self) -> np.ndarray:
        return np.abs(self.magnitude - self.magnitude.mean(axis=-1, keepdims=True))


def _angle(motion: _Motion, opposite: np.ndarray, adjacent: np.ndarray) -> np.ndarray:
    """Return the angle in degrees, NaN where gravity, of which these are components, is not there."""
    angle = np.degrees(np.arctan2(opposite, adjacent))
    length = np.sqrt(np.square(motion.gravity).sum(axis=-1))
    return np.where(length < LEAST_GRAVITY, np.nan, angle)


def _jerk(motion: _Motion) -> np.ndarray:
    return np.sqrt(np.square(np.diff(motion.moving, axis=-1)).sum(axis=-2)).mean(axis=-1) * motion.rate


def _dominant_frequency(motion: _Motion) -> np.ndarray:
    from scipy import fft, signal

    samples = motion.x.shape[-1]
    spectrum = fft.rfft(motion.moving * signal.get_window("hann", samples), axis=-1)[..., 1:]
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=-2)
    frequencies = fft.rfftfreq(samples, 1 / motion.rate)[1:]
    moving = frequencies >= SLOWEST - 1e-9
    if not moving.any():
        return np.full(len(motion.x), np.nan)
    peak = frequencies[moving][power[..., moving].argmax(axis=-1)]
    return np.where((motion.moving == 0).all(axis=(-2, -1)), np.nan, peak)


_KINDS: dict[str, Callable[[_Motion], np.ndarray]] = {
    "energy": lambda motion: np.square(motion.moving).sum(axis=-2).mean(axis=-1),
    "magnitude": lambda motion: motion.magnitude.mean(axis=-1),
    "enmo": lambda motion: np.maximum(motion.magnitude - 1.0, 0.0).mean(axis=-1),
    "mad": lambda motion: motion.deviation.mean(axis=-1),
    "pitch": lambda motion: _angle(motion, -motion.gravity[:, 0], np.hypot(motion.gravity[:, 1], motion.gravity[:, 2])),
    "roll": lambda motion: _angle(motion, motion.gravity[:, 1], motion.gravity[:, 2]),
    "angle_z": lambda motion: _angle(
        motion, motion.gravity[:, 2], np.hypot(motion.gravity[:, 0], motion.gravity[:, 1])
    ),
    "jerk": _jerk,
    "dominant_frequency": _dominant_frequency,
    "still_share": lambda motion: (motion.deviation < motion.still).mean(axis=-1),
}

_USUAL = ("energy", "mad", "enmo", "pitch", "roll", "dominant_frequency")


def _check(kinds: Sequence[str], still: float) -> Iterator[str]:
    yield from unknown_kinds(kinds, _KINDS)
    yield from above_zero("still", still, " g")


def _columns(channels: Sequence[str], kinds: Sequence[str], still: float) -> tuple[tuple[str, str], ...]:
    _refuse_axes(len(channels), f" ({', '.join(channels)})")
    return tuple(("xyz", kind) for kind in kinds)


def _refuse_axes(found: int, named: str = "") -> None:
    if found != 3:
        raise DataError(
            f"Motion needs the three axes of one accelerometer, x, y and z; found {found} channels{named}. "
            "Keep those three, or use the feature statistics."
        )


@feature(
    "motion",
    columns=_columns,
    across=True,
    modalities=("acc",),
    check=_check,
    unit="g; energy g²; pitch, roll, angle_z degrees; jerk g/s; dominant_frequency Hz; still_share a share",
    source="ENMO: van Hees et al., PLoS ONE 8(4):e61691, 2013; MAD: Vähä-Ypyä et al., Clinical Physiology and "
    "Functional Imaging 35:64, 2015",
)
def motion(x: np.ndarray, rate: float, kinds: Sequence[str] = _USUAL, *, still: float = 0.05) -> np.ndarray:
    """Movement and posture of a three-axis accelerometer in each window.

    Posture is the direction of the window's mean acceleration, which is gravity's as long as movements cancel out.

    Parameters
    ----------
    x : ndarray of shape (..., 3, n_times), float, g
        The axes x, y and z in this order; any filter that takes the mean off takes gravity off, and posture with it.
    rate : float
        Hz.
    kinds : sequence of str
        Movement: ``energy`` (mean squared length of the acceleration about its mean: the variances of the axes added
        up), ``mad`` (mean absolute deviation of the magnitude), ``enmo`` (mean of what the magnitude is above 1 g, 0
        where it is below), ``jerk`` (mean length of the change per second), ``dominant_frequency`` (where, from
        0.3 Hz on, the power of all axes under a Hann window is largest), ``still_share`` (of samples whose magnitude
        is within `still` of its mean).
        Level and posture: ``magnitude`` (mean), ``pitch`` (of -x above the plane of y and z), ``roll`` (from z towards
        y), ``angle_z`` (of z above the plane of x and y, as in GGIR).
    still : float
        In g.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where a sample of any axis is missing. `dominant_frequency` is NaN for a constant signal and
        for rates or windows that hold no frequency above 0.3 Hz, angles are where
        the mean acceleration is less than 0.1 g: in free fall, or behind a high-pass filter.

    Raises
    ------
    DataError
        Not three channels; fewer than 4 samples.
    """
    refuse(_check(kinds, still))
    x = as_signal(x, rate, least=4)
    if x.ndim < 2:
        raise DataError(f"Motion needs an array of shape (..., 3, n_times); found shape {x.shape}.")
    _refuse_axes(x.shape[-2])

    def compute(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        windows = _Motion(rows, flat, rate, still)
        return np.stack([_KINDS[kind](windows) for kind in kinds], axis=-1)

    return compute_rows(x, len(kinds), compute, axes=2)
