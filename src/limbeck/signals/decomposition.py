"""Skin conductance split into its level (tonic) and its responses (phasic), whole arrays at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from limbeck.errors import did_you_mean
from limbeck.signals.arrays import as_signal, is_number, refuse
from limbeck.signals.cvxeda import cvxeda
from limbeck.signals.filtering import highpass, lowpass
from limbeck.signals.gaps import fill_gaps, hold_gaps, missing, row_chunks
from limbeck.signals.kinds import step
from limbeck.signals.resampling import resample

__all__ = ["DECOMPOSITIONS", "LEAST_SAMPLES", "decompose", "phasic", "tonic"]

CUTOFF = 0.05
"""Hz: slower is level, faster is response."""

SMOOTHING = 4.0
"""Seconds over which the median is taken."""

LEAST_SAMPLES = 10
"""Samples that a decomposition needs, whatever the rate."""


def _by_highpass(rows: np.ndarray, rate: float, causal: bool, decimate_to: float) -> tuple[np.ndarray, np.ndarray]:
    # from the first sample on, so that a constant leaves no rounding noise
    first = rows[:, :1]
    level = lowpass(rows - first, rate, CUTOFF, order=2, causal=causal) + first
    return level, highpass(rows - first, rate, CUTOFF, order=2, causal=causal)


def _by_median(rows: np.ndarray, rate: float, causal: bool, decimate_to: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy import ndimage

    width = int(SMOOTHING * rate) | 1
    samples = rows.shape[-1]
    # all rows in one long one, each with its own margin: the filter for one dimension is a hundred times as fast
    margins = (width - 1, 0) if causal else (width // 2, width // 2)
    padded = np.pad(rows, ((0, 0), margins), mode="edge" if causal else "symmetric")
    medians = ndimage.median_filter(padded.ravel(), size=width, mode="nearest").reshape(padded.shape)
    level = medians[:, width // 2 : width // 2 + samples]
    return level, rows - level


def _by_cvxeda(rows: np.ndarray, rate: float, causal: bool, decimate_to: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy import interpolate

    if rate <= decimate_to:
        return cvxeda(rows, rate)
    coarse = resample(rows, rate, decimate_to)
    coarse_times = np.arange(coarse.shape[-1]) / decimate_to
    times = np.arange(rows.shape[-1]) / rate
    level, responses = cvxeda(coarse, decimate_to)
    level, responses = (interpolate.CubicSpline(coarse_times, part, axis=-1)(times) for part in (level, responses))
    return level, responses


DECOMPOSITIONS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "highpass": _by_highpass,
    "median": _by_median,
    "cvxeda": _by_cvxeda,
}
"""Methods by name: rows (n_rows, n_times) without missing samples to their tonic and phasic parts."""


def unknown_method(method: str, decimate_to: float, causal: bool = False, **_: object) -> Iterator[str]:
    """Yield what is wrong with the parameters of a decomposition."""
    if not isinstance(method, str) or method not in DECOMPOSITIONS:
        yield f"there is no method '{method}' of decomposition.{did_you_mean(str(method), DECOMPOSITIONS)}"
    elif method == "cvxeda" and causal:
        yield "cvxeda solves for the whole recording at once and has no causal form; use highpass or median"
    if not (is_number(decimate_to) and decimate_to >= 2):
        yield f"decimate_to must be a number of at least 2 Hz, or responses are lost; found {decimate_to!r}"


def decompose(
    x: np.ndarray, rate: float, method: str = "highpass", *, causal: bool = False, decimate_to: float = 8.0
) -> tuple[np.ndarray, np.ndarray]:
    """Split skin conductance into its level and its responses.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Skin conductance, in microsiemens or any other unit; at least 10 samples. Missing samples are interpolated
        (held, if causal) and are NaN again in both parts.
    rate : float
        Hz.
    method : {"highpass", "median", "cvxeda"}
        ``highpass``: Butterworth filters of order 2 at 0.05 Hz, one for each part, as in ``neurokit2.eda_phasic``;
        on windows below some 20 s the level takes up much of a response. ``median``: the level is the running median
        over 4 s (Biopac), the responses are the rest, which is a part of them only, since the level takes up what lasts
        for seconds: of a response of 0.5 (rising in 1.1 s, falling with 2 s) it leaves 0.14, where ``highpass`` leaves
        0.48 and ``cvxeda`` 0.50. Windows are reflected at their ends, where neurokit2 pads with zeros. ``cvxeda``:
        convex optimisation (:func:`~limbeck.signals.cvxeda.cvxeda`), which keeps responses apart that overlap and
        leaves noise out of both parts; some milliseconds per window.
    causal : bool
        Filters run forwards only, the median is that of the last 4 s; not for ``cvxeda``.
    decimate_to : float
        Rate in Hz at which ``cvxeda`` is solved when the signal's is higher; the parts are interpolated back (cubic).

    Returns
    -------
    tonic, phasic : ndarray of shape (..., n_times)
        In the floating type of `x`.

    Raises
    ------
    DataError
        Fewer than 10 samples, a rate of 0.1 Hz or less, an unknown method, or a causal ``cvxeda``.

    References
    ----------
    Makowski et al., *Behavior Research Methods* 53:1689-1696, 2021 (neurokit2); Greco et al., *IEEE Trans. Biomed.
    Eng.* 63(4):797-804, 2016 (cvxEDA).
    """
    x = as_signal(x, rate, least=LEAST_SAMPLES)
    refuse(unknown_method(method, decimate_to, causal))
    rows = x.reshape(-1, x.shape[-1])
    level, responses = np.empty_like(rows), np.empty_like(rows)
    for chunk in row_chunks(len(rows), x.shape[-1]):
        gaps = missing(rows[chunk])
        filled = (hold_gaps if causal else fill_gaps)(rows[chunk].astype(np.float64), gaps)
        level[chunk], responses[chunk] = DECOMPOSITIONS[method](filled, rate, causal, decimate_to)
        level[chunk][gaps] = responses[chunk][gaps] = np.nan
    return level.reshape(x.shape), responses.reshape(x.shape)


@step(
    "tonic",
    runs="recording",
    causal="causal",
    modalities=("eda",),
    check=unknown_method,
    source="neurokit2.eda_phasic; Greco et al., IEEE Trans. Biomed. Eng. 63:797, 2016 (cvxeda)",
)
def tonic(
    x: np.ndarray, rate: float, method: str = "highpass", *, causal: bool = False, decimate_to: float = 8.0
) -> np.ndarray:
    """Keep the level of skin conductance.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        At least 10 samples; missing ones (NaN) are filled for the arithmetic and are NaN again in the output.
    rate : float
        Hz.
    method : str
        ``highpass`` (what is below 0.05 Hz), ``median`` (the running median over 4 s) or ``cvxeda`` (convex
        optimisation), as of :func:`decompose`.
    causal : bool
        No output depends on a later sample; not for ``cvxeda``.
    decimate_to : float
        Hz at which ``cvxeda`` is solved when the rate is higher.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`.
    """
    return decompose(x, rate, method, causal=causal, decimate_to=decimate_to)[0]


@step(
    "phasic",
    runs="recording",
    causal="causal",
    modalities=("eda",),
    check=unknown_method,
    source="neurokit2.eda_phasic; Greco et al., IEEE Trans. Biomed. Eng. 63:797, 2016 (cvxeda)",
)
def phasic(
    x: np.ndarray, rate: float, method: str = "highpass", *, causal: bool = False, decimate_to: float = 8.0
) -> np.ndarray:
    """Keep the responses of skin conductance, without its level.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        At least 10 samples; missing ones (NaN) are filled for the arithmetic and are NaN again in the output.
    rate : float
        Hz.
    method : str
        ``highpass`` (what is above 0.05 Hz), ``median`` (what differs from the running median over 4 s) or ``cvxeda``
        (convex optimisation), as of :func:`decompose`.
    causal : bool
        No output depends on a later sample; not for ``cvxeda``.
    decimate_to : float
        Hz at which ``cvxeda`` is solved when the rate is higher.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`.
    """
    return decompose(x, rate, method, causal=causal, decimate_to=decimate_to)[1]
