"""Electrodes by name: matching names between corpora, picking channels, and referencing an EEG."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import as_signal, refuse
from limbeck.signals.gaps import missing
from limbeck.signals.kinds import step

__all__ = ["electrode_name", "match_channels", "pick", "reference"]

_OLD_NAMES = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}
"""Names of the 10-20 system that the 10-10 system replaced (Klem et al. 1999)."""

_MASTOIDS = (("A1", "A2"), ("M1", "M2"), ("TP9", "TP10"))
"""Pairs whose mean is the linked reference, in the order in which they are looked for."""


def electrode_name(name: str) -> str:
    """Return an electrode's name as it is compared: ``t7`` for ``T3``, ``EEG T3``, ``T7-REF`` and ``T7..``.

    Parameters
    ----------
    name : str
        As a file has it. A prefix ``EEG``, a suffix that names a common reference (``-REF``, ``-LE``, ``-AVG``) and
        dots do not count; upper and lower case are the same; T3, T4, T5 and T6 are T7, T8, P7 and P8.

    Returns
    -------
    str
    """
    key = name.strip().casefold()
    key = re.sub(r"^eeg[\s_:-]+(?=\S)", "", key)
    key = re.sub(r"[\s_-]+(ref|le|avg)$", "", key).strip(" .")
    return _OLD_NAMES.get(key, key)


def match_channels(names: Sequence[str], channels: Sequence[str]) -> list[int]:
    """Return where channels are, by names that need not be written as in the corpus.

    Parameters
    ----------
    names : sequence of str
        What is looked for.
    channels : sequence of str
        What there is. A name that is written exactly so comes first, then one that :func:`electrode_name` makes the
        same.

    Returns
    -------
    list of int
        An index into `channels` per name.

    Raises
    ------
    DataError
        With every name that is not there, and the nearest that is; a name that two channels answer to.
    """
    exact = {channel: index for index, channel in enumerate(channels)}
    keys = [electrode_name(channel) for channel in channels]
    found: list[int] = []
    mistakes: list[str] = []
    absent: list[str] = []
    for name in names:
        alike = [exact[name]] if name in exact else [i for i, key in enumerate(keys) if key == electrode_name(name)]
        if len(alike) == 1:
            found += alike
        elif alike:
            mistakes.append(f"'{name}' may be any of {', '.join(channels[i] for i in alike)}; write it exactly.")
        else:
            absent.append(name)
    if len(absent) > 2:  # not misspelt, but another set of sensors
        named, there = ", ".join(absent), ", ".join(channels)
        mistakes.append(f"{len(absent)} of {len(names)} channels are not there: {named}; there are {there}.")
    else:
        mistakes += [f"There is no channel '{name}'.{did_you_mean(name, channels)}" for name in absent]
    if mistakes:
        raise DataError(" ".join(mistakes))
    return found


def check_channels(x: np.ndarray, channels: Sequence[str]) -> None:
    """Refuse an array whose last axis but one is not the channels that are named."""
    if x.ndim < 2 or x.shape[-2] != len(channels):
        raise DataError(
            f"An array (..., channel, time) and a name per channel are needed; found shape {x.shape} and "
            f"{len(channels)} names. Pass channels=(...) when no pipeline does."
        )


def name_mistakes(what: str, names: Any) -> Iterator[str]:
    """Yield what is wrong with a list of names."""
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        yield f"{what} must be a list of channel names, found {names!r}"
    elif len(set(map(electrode_name, names))) < len(names):
        yield f"{what} names a channel twice: {list(names)}"


def _check_pick(names: Any) -> Iterator[str]:
    if not isinstance(names, str):
        yield from name_mistakes("names", names)
        if not names:
            yield "names must name at least one channel"


def _picked(names: str | Sequence[str], channels: tuple[str, ...]) -> list[int]:
    return match_channels([names] if isinstance(names, str) else names, channels)


@step(
    "pick",
    runs="recording",
    causal=True,
    check=_check_pick,
    new_channels=lambda channels, names: tuple(channels[index] for index in _picked(names, channels)),
    source="indexing",
)
def pick(x: np.ndarray, rate: float, names: str | Sequence[str], *, channels: tuple[str, ...] = ()) -> np.ndarray:
    """Keep the named channels, in the order in which they are named.

    Parameters
    ----------
    x : ndarray of shape (..., n_channels, n_times), float
    rate : float
        Hz; not used.
    names : str or sequence of str
        One name or several (``{pick: [F3, F4]}``), matched as by :func:`match_channels`; the channels keep the
        names that they have in the corpus.
    channels : tuple of str
        Names along the last axis but one.

    Returns
    -------
    ndarray of shape (..., n_names, n_times)

    Raises
    ------
    DataError
        A name that is not there, with the nearest that is.
    """
    x = as_signal(x, rate, least=0)
    refuse(_check_pick(names))
    check_channels(x, channels)
    return x[..., _picked(names, channels), :]


def _check_reference(kind: Any, pairs: Any, channels_of: Any, exclude: Any, drop: bool) -> Iterator[str]:
    if not isinstance(kind, str):
        yield f"kind must be average, linked, bipolar or the name of a channel, found {kind!r}"
    elif kind == "bipolar":
        yield from _pair_mistakes(pairs)
    elif pairs is not None:
        yield f"pairs are for kind bipolar, not for {kind}"
    if channels_of is not None:
        if kind != "linked":
            yield f"channels_of is for kind linked, not for {kind}"
        yield from name_mistakes("channels_of", channels_of)
        if not channels_of:
            yield "channels_of must name at least one channel"
    yield from name_mistakes("exclude", exclude)
    if exclude and kind != "average":
        yield f"exclude is for kind average, not for {kind}"
    if drop and kind in ("average", "bipolar"):
        yield f"drop is for a reference of named channels, not for {kind}"


def _pair_mistakes(pairs: Any) -> Iterator[str]:
    if isinstance(pairs, str) or not isinstance(pairs, Sequence) or not pairs:
        yield f"bipolar needs pairs of channels, such as [[F3, F4], [C3, C4]]; found {pairs!r}"
        return
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            yield f"a pair is two channel names, such as [F3, F4]; found {pair!r}"
        else:
            yield from name_mistakes("a pair", pair)
    if len({str(pair) for pair in pairs}) < len(pairs):
        yield f"pairs names a pair twice: {list(pairs)}"


def _reference_channels(kind: str, channels_of: Sequence[str] | None, channels: tuple[str, ...]) -> list[int]:
    """Return the channels whose mean is the reference, for all kinds but average and bipolar."""
    if kind != "linked":
        return match_channels([kind], channels)
    if channels_of is not None:
        return match_channels(channels_of, channels)
    keys = set(map(electrode_name, channels))
    for pair in _MASTOIDS:
        if keys.issuperset(map(electrode_name, pair)):
            return match_channels(pair, channels)
    looked = ", ".join(f"{left} and {right}" for left, right in _MASTOIDS)
    raise DataError(
        f"A linked reference needs {looked} among the channels; found {', '.join(channels)}. "
        "Name them with channels_of, or choose another reference."
    )


def _kept(channels: tuple[str, ...], kind: str, channels_of: Sequence[str] | None, drop: bool) -> list[int] | slice:
    if not drop:
        return slice(None)
    taken = _reference_channels(kind, channels_of, channels)
    return [index for index in range(len(channels)) if index not in taken]


def _referenced_channels(
    channels: tuple[str, ...],
    kind: str,
    pairs: Sequence[Sequence[str]] | None,
    channels_of: Sequence[str] | None,
    exclude: Sequence[str],
    drop: bool,
) -> tuple[str, ...]:
    if kind == "bipolar":
        return tuple(f"{first}-{second}" for first, second in pairs or ())
    kept = _kept(channels, kind, channels_of, drop)
    return channels[kept] if isinstance(kept, slice) else tuple(channels[index] for index in kept)


def _shared_channels(
    channels: tuple[str, ...], *, kind: str, channels_of: Sequence[str] | None, exclude: Sequence[str], **_: Any
) -> tuple[str, ...]:
    if kind == "bipolar":
        return ()
    if kind == "average":
        left_out = match_channels(exclude, channels)
        return tuple(channel for index, channel in enumerate(channels) if index not in left_out)
    return tuple(channels[index] for index in _reference_channels(kind, channels_of, channels))


@step(
    "reference",
    runs="recording",
    causal=True,
    modalities=("eeg",),
    check=_check_reference,
    new_channels=_referenced_channels,
    shares=_shared_channels,
    source="Yao et al., Brain Topogr. 32:530, 2019",
)
def reference(
    x: np.ndarray,
    rate: float,
    kind: str = "average",
    *,
    pairs: Sequence[Sequence[str]] | None = None,
    channels_of: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    drop: bool = False,
    channels: tuple[str, ...] = (),
) -> np.ndarray:
    """Refer an EEG to the average, to linked ears or mastoids, to one channel, or channels to one another.

    Every output sample is made of the input samples of the same time.

    Parameters
    ----------
    x : ndarray of shape (..., n_channels, n_times), float
        Missing samples (NaN) stay missing.
    rate : float
        Hz; not used.
    kind : str
        ``average``: minus the mean over the channels; those that are missing at a time do not count for it.
        ``linked``: minus the mean of `channels_of`; missing where one of these is.
        ``bipolar``: the differences of `pairs`, which become the channels (``F3-F4``).
        The name of a channel: minus that channel.
    pairs : sequence of pairs of str
        For ``bipolar``: first minus second.
    channels_of : sequence of str
        For ``linked``; by default whichever of A1 and A2, M1 and M2, TP9 and TP10 there is.
    exclude : sequence of str
        For ``average``: channels that do not count for the mean (a broken one); it is taken off them all the same.
    drop : bool
        Leave out the channels of the reference; otherwise they stay (a single one as zeros).
    channels : tuple of str
        Names along the last axis but one. Names are matched as by :func:`match_channels`.

    Returns
    -------
    ndarray of shape (..., n_channels, n_times)
        In the floating type of `x`; fewer or other channels with `drop` and ``bipolar``.

    Raises
    ------
    DataError
        A channel that is not there, with the nearest that is; an average of fewer than two channels.
    """
    x = as_signal(x, rate, least=0)
    refuse(_check_reference(kind, pairs, channels_of, exclude, drop))
    check_channels(x, channels)
    if kind == "bipolar":
        first, second = (match_channels([pair[side] for pair in pairs or ()], channels) for side in (0, 1))
        difference = x[..., first, :]
        difference -= x[..., second, :]
        return difference
    if kind == "average":
        return x - _average(x, match_channels(exclude, channels))
    sources = _reference_channels(kind, channels_of, channels)
    level = x[..., sources, :].mean(axis=-2, keepdims=True, dtype=np.float64).astype(x.dtype)
    kept = _kept(channels, kind, channels_of, drop)
    return x[..., kept, :] - level


def _average(x: np.ndarray, excluded: list[int]) -> np.ndarray:
    """Return the mean over the channels that count and are there, (..., 1, n_times)."""
    counts = np.ones((x.shape[-2], 1), dtype=bool)
    counts[excluded] = False
    if counts.sum() < 2:
        raise DataError(
            f"An average reference needs at least 2 channels that count for it; found {counts.sum()} of {len(counts)}."
        )
    there = ~missing(x) & counts
    number = there.sum(axis=-2, keepdims=True)
    total = x.sum(axis=-2, keepdims=True, dtype=np.float64, where=there)
    mean = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    return mean.astype(x.dtype)
