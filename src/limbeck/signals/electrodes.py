"""Electrodes together: blinks taken out by ICA, broken electrodes rebuilt from the others; both through MNE."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import as_signal, is_number, is_whole, refuse
from limbeck.signals.filtering import bandpass, highpass
from limbeck.signals.gaps import fill_gaps, missing, row_chunks
from limbeck.signals.kinds import step
from limbeck.signals.referencing import check_channels, electrode_name, match_channels, name_mistakes

__all__ = ["bad_electrodes", "ica", "interpolate_electrodes"]

_FRONTAL = ("Fp1", "Fp2")
"""Electrodes over the eyes, where blinks are largest."""

_MONTAGES = ("colin27_1020", "standard_1020")
"""Names, newer and older, of MNE's electrode positions of the 10-20 and 10-10 systems."""

_FIT = 30_000
"""Samples that an ICA is fitted to, or 30 per channel squared if that is more."""

_NOISY = 5.0
"""Times the median spread of all electrodes above which one is broken; below its inverse squared it is dead."""

_ALIKE = 0.4
"""Largest correlation with another electrode below which one may be broken."""

_FEWEST = 4
"""Electrodes from which others can be rebuilt, or of which one can stand out."""


def _check_ica(eog: Any, n_components: Any, threshold: float, seed: int) -> Iterator[str]:
    if eog is not None:
        yield from name_mistakes("eog", eog)
        if not eog:
            yield "eog must name at least one channel"
    if n_components is not None and not (is_whole(n_components) and n_components > 1):
        yield f"n_components must be a whole number above 1, found {n_components!r}"
    if not (is_number(threshold) and 0 < threshold < 1):
        yield f"threshold must lie between 0 and 1, found {threshold!r}"
    if not (is_whole(seed) and 0 <= seed < 2**32):
        yield f"seed must be a whole number from 0 to 2**32 - 1, found {seed!r}"


@step(
    "ica",
    runs="recording",
    causal=False,  # the components are fitted to the whole recording
    modalities=("eeg",),
    shares=lambda channels, **_: channels,
    check=_check_ica,
    libraries=("mne",),
    source="mne.preprocessing.ICA, extended infomax: Lee, Girolami, Sejnowski, Neural Comput. 11:417, 1999",
)
def ica(
    x: np.ndarray,
    rate: float,
    eog: Sequence[str] | None = None,
    *,
    n_components: int | None = None,
    threshold: float = 0.7,
    seed: int = 97,
    channels: tuple[str, ...] = (),
) -> np.ndarray:
    """Take blinks and eye movements out of an EEG by independent component analysis.

    The components are fitted to each recording above 1 Hz, at no more than 30,000 samples spread over it (30 per
    channel squared if that is more). Those whose time course, between 1 and 10 Hz, correlates with the channels over
    the eyes are taken off the recording as it came, with all its frequencies. A blink shows in Fp1 and in Fp2, and
    nowhere else as strongly; of channels named with `eog`, one is enough. The same input gives the same output. Of a
    few electrodes no component can be spared: use it from about ten on.

    Parameters
    ----------
    x : ndarray of shape (..., n_channels, n_times), float
        Missing samples (NaN) stay missing, do not count for the fit, and are interpolated for the others' sake. A
        channel that is flat, or missing for more than half of the time, takes no part.
    rate : float
        Hz; 25 or more.
    eog : sequence of str
        Channels that show the eyes, each its own movement; by default those of Fp1 and Fp2 that there are, which show
        blinks together.
    n_components : int
        Of the fit; by default as many as the channels' rank.
    threshold : float
        Absolute correlation at and above which a component is the eyes'.
    seed : int
        Of the fit.
    channels : tuple of str
        Names along the last axis but one.

    Returns
    -------
    ndarray of shape (..., n_channels, n_times)
        In the floating type of `x`. Unchanged where no component is the eyes'.

    Raises
    ------
    DataError
        No such channel; too short a recording (20 samples per component); every component is the eyes'.
    """
    x = as_signal(x, rate)
    refuse(_check_ica(eog, n_components, threshold, seed))
    check_channels(x, channels)
    eyes = _eyes(eog, channels)
    cleaned = x.copy().reshape(-1, *x.shape[-2:])
    for recording in cleaned:
        _take_eyes_off(recording, rate, eyes, eog is None, n_components, threshold, int(seed))
    return cleaned.reshape(x.shape)


def _eyes(eog: Sequence[str] | None, channels: tuple[str, ...]) -> list[int]:
    if eog is not None:
        return match_channels(eog, channels)
    keys = [electrode_name(channel) for channel in channels]
    found = [keys.index(electrode_name(name)) for name in _FRONTAL if electrode_name(name) in keys]
    if not found:
        raise DataError(
            f"Blinks are found by {' or '.join(_FRONTAL)}; found {', '.join(channels)}. Name channels with eog."
        )
    return found


def _take_eyes_off(
    x: np.ndarray,
    rate: float,
    eyes: list[int],
    blinks_only: bool,
    n_components: int | None,
    threshold: float,
    seed: int,
) -> None:
    """Clean one recording (n_channels, n_times) in place."""
    gaps = missing(x)
    used = np.flatnonzero(_alive(x, gaps))
    if not set(eyes) & set(used):
        raise DataError("Every channel that should show the eyes is flat or missing; name others with eog.")
    if len(used) < 3:
        raise DataError(f"ICA needs at least 3 channels that are neither flat nor missing; found {len(used)}.")
    if n_components is not None and n_components > len(used):
        raise DataError(f"ICA of {len(used)} channels has at most as many components; found {n_components}.")
    times = np.flatnonzero(~gaps[used].any(axis=0))
    if len(times) < 20 * len(used):
        raise DataError(
            f"ICA of {len(used)} channels needs at least {20 * len(used)} samples without a gap; found {len(times)}."
        )
    times = times[:: -(-len(times) // max(_FIT, 30 * len(used) ** 2))]
    for index in used:
        x[index] = fill_gaps(x[index], gaps[index])
    # of each filtered channel only what the fit needs is kept
    above = np.stack([highpass(x[index], rate, 1.0)[times] for index in used]).astype(np.float64)
    unmixing, mixing = _fit_ica(above, rate, n_components, seed)
    shown = np.stack([bandpass(x[index], rate, 1.0, 10.0)[times] for index in used]).astype(np.float64)
    courses = unmixing @ shown
    over_eyes = np.isin(used, eyes)
    alike = np.abs(_standardised(courses) @ _standardised(shown[over_eyes]).T) >= threshold
    # a source in the frontal brain may show in both Fp1 and Fp2, but is stronger elsewhere
    blinks = alike.all(axis=-1) & over_eyes[np.abs(mixing).argmax(axis=0)] if blinks_only else alike.any(axis=-1)
    if blinks.all():
        raise DataError(
            f"All {len(blinks)} components correlate with the channels over the eyes by {threshold:g} or more, so that "
            "nothing would be left. Use more electrodes or a higher threshold."
        )
    if blinks.any():
        taken = np.eye(len(used)) - mixing[:, blinks] @ unmixing[blinks]
        level = np.array([x[index].mean(dtype=np.float64) for index in used])[:, np.newaxis]
        for part in row_chunks(x.shape[-1], len(used)):
            x[used, part] = taken @ (x[used, part] - level) + level
    x[gaps] = np.nan


def _fit_ica(x: np.ndarray, rate: float, n_components: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrices from channels to components and back, for float64 (n_channels, n_times) above 1 Hz."""
    import mne

    info = mne.create_info(len(x), rate, "eeg", verbose="ERROR")
    raw = mne.io.RawArray(x, info, verbose="ERROR")
    # signs judged by all samples, at every tenth block, settle: by a few at random they do not, at ten times the cost
    options = {"extended": True, "kurt_size": x.shape[-1], "ext_blocks": 10}
    fitted = mne.preprocessing.ICA(
        n_components, method="infomax", fit_params=options, random_state=seed, verbose="ERROR"
    )
    fitted.fit(raw, verbose="ERROR")
    # channels are scaled by one number, turned by the principal components, then unmixed
    kept = fitted.pca_components_[: fitted.n_components_]
    unmixing = fitted.unmixing_matrix_ @ kept / fitted.pre_whitener_.ravel()
    return unmixing, fitted.pre_whitener_ * (kept.T @ fitted.mixing_matrix_)


def _standardised(rows: np.ndarray) -> np.ndarray:
    """Return rows (..., n_times) of mean 0 and length 1, whose products are Pearson's correlations; 0 for flat ones."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    length = np.sqrt(np.square(centred).sum(axis=-1, keepdims=True))
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)


def _alive(x: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Return which channels of (n_channels, n_times) are there for half of the time at least, and vary."""
    there = ~gaps
    low = x.min(axis=-1, where=there, initial=np.inf)
    high = x.max(axis=-1, where=there, initial=-np.inf)
    varies = high - low > 8 * np.finfo(x.dtype).eps * np.maximum(np.abs(low), np.abs(high))
    return (there.mean(axis=-1) >= 0.5) & varies


def _check_electrodes(names: Any, causal: bool) -> Iterator[str]:
    if isinstance(names, str):
        if names == "auto" and causal:
            yield "auto looks at the whole recording, so it cannot be causal; name the electrodes"
        return
    yield from name_mistakes("names", names)
    if not names:
        yield "names must name at least one electrode, or be auto"


@step(
    "interpolate_electrodes",
    runs="recording",
    causal="causal",
    modalities=("eeg",),
    shares=lambda channels, **_: channels,
    check=_check_electrodes,
    libraries=("mne",),
    source="mne interpolate_bads; spherical splines: Perrin et al., Electroenceph. Clin. Neurophysiol. 72:184, 1989",
)
def interpolate_electrodes(
    x: np.ndarray,
    rate: float,
    names: str | Sequence[str] = "auto",
    *,
    causal: bool = False,
    channels: tuple[str, ...] = (),
) -> np.ndarray:
    """Rebuild broken electrodes from the others by spherical splines.

    Parameters
    ----------
    x : ndarray of shape (..., n_channels, n_times), float
        At a time when one of the others is missing (NaN), the rest of them stand in; where fewer than 4 are left, the
        rebuilt electrodes are NaN. What the broken ones held is not used.
    rate : float
        Hz.
    names : str or sequence of str
        The broken electrodes, matched as by :func:`match_channels`; or ``auto``: those of :func:`bad_electrodes`, for
        each recording.
    causal : bool
        Whether the step may run live, which needs names; a sample is then made of samples of the same time, as it is
        without.
    channels : tuple of str
        Names along the last axis but one; those of the 10-20 and 10-10 systems, such as ``Fp1``, ``EEG FP1`` or ``T3``.

    Returns
    -------
    ndarray of shape (..., n_channels, n_times)
        In the floating type of `x`.

    Raises
    ------
    DataError
        An electrode whose position is not known; fewer than 4 that are not broken.
    """
    x = as_signal(x, rate)
    refuse(_check_electrodes(names, causal))
    check_channels(x, channels)
    positions = _montage_names(tuple(channels))
    recordings = x.reshape(-1, *x.shape[-2:])
    if isinstance(names, str) and names == "auto":
        bad = [match_channels(bad_electrodes(each, rate, channels=channels), channels) for each in recordings]
    else:
        bad = [match_channels([names] if isinstance(names, str) else names, channels)] * len(recordings)
    rebuilt = recordings.copy()
    for recording, broken in zip(rebuilt, bad, strict=True):
        _rebuild(recording, broken, positions)
    return rebuilt.reshape(x.shape)


def bad_electrodes(x: np.ndarray, rate: float, *, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the electrodes that look broken beside the others.

    One is broken when it is flat or missing for more than half of the time. Of 4 or more that are left, one is broken
    too when, above 1 Hz, its spread (median absolute deviation) is more than 5 times or less than 1/25 of the median
    spread; or when its largest correlation with another electrode, the median over stretches of 1 s, is below 0.4 and
    below half of what the median electrode has.

    The usual is what most electrodes do: a majority is assumed sound. Where most are broken alike, the others are
    those that stand out, and are named.

    Parameters
    ----------
    x : ndarray of shape (n_channels, n_times), float
    rate : float
        Hz; above 2.
    channels : tuple of str

    Returns
    -------
    tuple of str
        Of `channels`, in their order.

    Raises
    ------
    DataError
        Not one recording; too short a recording for the 1 Hz high-pass or for a stretch of 1 s; half of the electrodes
        or more stand out, so that it is open which are sound.
    """
    x = as_signal(x, rate)
    x = as_signal(x, rate, least=math.ceil(rate))
    check_channels(x, channels)
    if x.ndim != 2:
        raise DataError(f"Broken electrodes are looked for in one recording (channel, time); found shape {x.shape}.")
    gaps = missing(x)
    bad = ~_alive(x, gaps)
    others = np.flatnonzero(~bad)
    if len(others) >= _FEWEST:
        filtered = np.empty((len(others), x.shape[-1]), dtype=x.dtype)
        spread = np.empty(len(others), dtype=x.dtype)
        for row, index in enumerate(others):  # one at a time, for the sake of memory
            filtered[row] = highpass(fill_gaps(x[index], gaps[index]), rate, 1.0)
            spread[row] = np.median(np.abs(filtered[row] - np.median(filtered[row])))
        usual = np.median(spread)
        unlike = (spread > _NOISY * usual) | (spread < usual / _NOISY**2)
        alike = _largest_correlations(filtered, round(rate))
        unlike |= (alike < _ALIKE) & (alike < np.median(alike) / 2)
        if 2 * unlike.sum() >= len(others):
            raise DataError(
                f"{unlike.sum()} of {len(others)} electrodes stand out from the rest "
                f"({', '.join(channels[index] for index in others[unlike])}), so that it is open which are broken. "
                "Name the broken ones, or leave this recording out."
            )
        bad[others[unlike]] = True
    return tuple(channel for channel, broken in zip(channels, bad, strict=True) if broken)


def _largest_correlations(x: np.ndarray, samples: int) -> np.ndarray:
    """Return each row's largest absolute correlation with another, the median over stretches of so many samples."""
    count = x.shape[-1] // samples
    stretches = x[:, : count * samples].reshape(len(x), count, samples).swapaxes(0, 1)
    largest = np.empty((count, len(x)))
    for part in row_chunks(count, samples * len(x)):
        rows = _standardised(stretches[part].astype(np.float64))
        alike = np.abs(rows @ rows.swapaxes(-1, -2))
        alike[:, np.arange(len(x)), np.arange(len(x))] = 0.0
        largest[part] = alike.max(axis=-1)
    return np.median(largest, axis=0)


def _rebuild(x: np.ndarray, bad: list[int], positions: tuple[str, ...]) -> None:
    """Rebuild rows of one recording (n_channels, n_times) in place."""
    good = [index for index in range(len(x)) if index not in bad]
    if not bad:
        return
    if len(good) < _FEWEST:
        raise DataError(
            f"{len(bad)} of {len(x)} electrodes are broken; at least {_FEWEST} others are needed to rebuild them."
        )
    for part in row_chunks(x.shape[-1], len(x)):
        sources = x[good, part]
        gaps = missing(sources)
        rebuilt = np.full((len(bad), sources.shape[-1]), np.nan)
        # samples at which the same electrodes are missing share their weights
        patterns, belongs = np.unique(np.packbits(gaps, axis=0), axis=1, return_inverse=True)
        there = ~np.unpackbits(patterns, axis=0, count=len(good)).astype(bool)
        for index, kept in enumerate(there.T):
            if kept.sum() >= _FEWEST:
                weights = _spline_weights(positions, tuple(np.compress(kept, good).tolist()), tuple(bad))
                times = np.flatnonzero(belongs.ravel() == index)
                rebuilt[:, times] = weights @ sources[np.ix_(kept, times)]
        x[bad, part] = rebuilt


@lru_cache(maxsize=1024)
def _spline_weights(names: tuple[str, ...], sources: tuple[int, ...], broken: tuple[int, ...]) -> np.ndarray:
    """Return what each source adds to each broken electrode, (n_broken, n_sources)."""
    import mne

    info = mne.create_info(list(names), 100.0, "eeg", verbose="ERROR")
    # the sphere is that of all electrodes, so that it stays the same when some are missing for a while
    info.set_montage(_montage(), verbose="ERROR")
    info["bads"] = [name for index, name in enumerate(names) if index not in sources]
    # the splines are linear: what they make of unit vectors is their matrix
    raw = mne.io.RawArray(np.eye(len(names)), info, verbose="ERROR")
    raw.interpolate_bads(reset_bads=False, verbose="ERROR")
    weights = raw.get_data()[np.ix_(broken, sources)]
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=1)
def _montage() -> Any:
    import mne

    known = mne.channels.get_builtin_montages()
    return mne.channels.make_standard_montage(next(name for name in _MONTAGES if name in known))


@lru_cache(maxsize=16)
def _montage_names(channels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the name that the montage has for each channel."""
    # the newer names come first in the montage and stay
    known: dict[str, str] = {}
    for name in _montage().ch_names:
        known.setdefault(electrode_name(name), name)
    unknown = [channel for channel in channels if electrode_name(channel) not in known]
    if unknown:
        raise DataError(
            f"The position of {', '.join(unknown)} is not known; those of the 10-20 and 10-10 systems are, so pick "
            "such electrodes first."
        )
    names = tuple(known[electrode_name(channel)] for channel in channels)
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(f"Several channels lie at {', '.join(twice)}; pick one of each.")
    return names
