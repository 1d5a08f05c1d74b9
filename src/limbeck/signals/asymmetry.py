"""Asymmetry between electrodes: left against right, front against back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import as_signal, refuse
from limbeck.signals.entropy import differential_entropy
from limbeck.signals.kinds import feature
from limbeck.signals.referencing import check_channels, electrode_name, match_channels
from limbeck.signals.spectral import Bands, band_mistakes, band_power, resolve_bands, unknown_kinds

__all__ = ["FRONTAL_POSTERIOR", "LEFT_RIGHT", "asymmetry", "electrode_pairs"]

_LEFT = {
    "Fp": (1,),
    "AF": (7, 5, 3, 1),
    "F": (9, 7, 5, 3, 1),
    "FT": (9, 7),
    "FC": (5, 3, 1),
    "T": (9, 7),
    "C": (5, 3, 1),
    "TP": (9, 7),
    "CP": (5, 3, 1),
    "P": (9, 7, 5, 3, 1),
    "PO": (9, 7, 5, 3, 1),
    "CB": (1,),
    "O": (1,),
    "I": (1,),
}
"""Areas of the left half of the head, front to back, to the numbers there, outside to inside."""

LEFT_RIGHT: tuple[tuple[str, str], ...] = tuple(
    (f"{area}{number}", f"{area}{number + 1}") for area, numbers in _LEFT.items() for number in numbers
)
"""Homologous electrodes of the 10-10 system: the left one, and the right one with the next number."""

FRONTAL_POSTERIOR: tuple[tuple[str, str], ...] = (
    *((f"FT{place}", f"TP{place}") for place in "78"),
    *((f"FC{place}", f"CP{place}") for place in "531z246"),
    *((f"F{place}", f"P{place}") for place in "7531z2468"),
    *((f"Fp{place}", f"O{place}") for place in "12z"),
    ("AF3", "CB1"),
    ("AF4", "CB2"),
)
"""The 23 pairs of Zheng & Lu (2015); DEAP's 32 electrodes hold 11 of them."""

_KINDS = {"dasm": LEFT_RIGHT, "rasm": LEFT_RIGHT, "dcau": FRONTAL_POSTERIOR}

_MEASURES = ("de", "log_power")

Pairs = Sequence[Sequence[str]]


def electrode_pairs(channels: Sequence[str], pairs: Pairs) -> tuple[tuple[int, int], ...]:
    """Return the places among the channels of those pairs whose both electrodes are there, in the order of the pairs.

    Names are compared as :func:`electrode_name` makes them; of channels that are the same electrode, the first counts.
    """
    places = {electrode_name(name): place for place, name in reversed(list(enumerate(channels)))}
    known = [[places.get(electrode_name(name)) for name in pair] for pair in pairs]
    return tuple((one, other) for one, other in known if one is not None and other is not None)


def _check(bands: Any, kinds: Sequence[str], of: str, pairs: Any) -> Iterator[str]:
    yield from band_mistakes(bands)
    yield from unknown_kinds(kinds, _KINDS)
    if of not in _MEASURES:
        yield f"asymmetry is of {' or '.join(_MEASURES)}, found '{of}'.{did_you_mean(str(of), _MEASURES)}"
    if pairs is None:
        return
    if not isinstance(pairs, list | tuple) or not pairs or not all(_is_pair(pair) for pair in pairs):
        yield f"pairs must be a list of pairs of channels, such as [[F3, F4]]; found {pairs!r}"
    elif "dcau" in kinds and len(kinds) > 1:
        yield "dcau compares front and back, the others left and right: give them in two features, each with its pairs"


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(name, str) for name in pair)


def _places(kind: str, channels: Sequence[str], pairs: Pairs | None) -> tuple[tuple[int, int], ...]:
    """Return the places of the pairs of a kind, or refuse when there are none or one that is asked for is missing."""
    if pairs is not None:
        return tuple(zip(*(match_channels([pair[side] for pair in pairs], channels) for side in (0, 1)), strict=True))
    found = electrode_pairs(channels, _KINDS[kind])
    if not found:
        sides, example = ("front and back", "Fp1-O1") if kind == "dcau" else ("left and right", "F3-F4")
        raise DataError(
            f"{kind} needs pairs of electrodes, {sides}, such as {example}; found none among {_shown(channels)}. "
            "Name the channels by the 10-20 system or give pairs."
        )
    return found


def _shown(channels: Sequence[str]) -> str:
    return ", ".join(channels[:8]) + (f" and {len(channels) - 8} more" if len(channels) > 8 else "")


def _columns(
    channels: Sequence[str], bands: Any, kinds: Sequence[str], of: str, pairs: Pairs | None
) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"{channels[one]}-{channels[other]}", f"{kind}.{band}")
        for kind in kinds
        for one, other in _places(kind, channels, pairs)
        for band in resolve_bands(bands)
    )


@feature(
    "asymmetry",
    columns=_columns,
    check=_check,
    across=True,
    modalities=("eeg",),
    unit="dasm, dcau: nats; rasm: none",
    source="Duan et al. 2013 (DASM, RASM); Zheng & Lu 2015 (DCAU)",
)
def asymmetry(
    x: np.ndarray,
    rate: float,
    bands: Bands = "standard",
    kinds: Sequence[str] = ("dasm",),
    *,
    of: str = "de",
    pairs: Pairs | None = None,
    channels: tuple[str, ...] = (),
) -> np.ndarray:
    """Asymmetry of differential entropy or log power, per band and pair of electrodes.

    Columns, for each kind in turn, each pair in turn, each band in turn: ``F3-F4.asymmetry.dasm.alpha``. Those pairs
    are used whose both electrodes are there, front to back: all homologous ones of the 10-10 system (`LEFT_RIGHT`: 14
    of DEAP's 32 electrodes, 27 of SEED's 62) and for ``dcau`` those of Zheng & Lu (`FRONTAL_POSTERIOR`: 11 and 23). Old
    names (T3, T4, T5, T6) are understood.

    Parameters
    ----------
    x : ndarray of shape (..., n_channels, n_times), float
    rate : float
        Hz.
    bands : str, mapping or sequence
        ``standard``, ``fear``, ``zhang2022``, ``zhang2022_code``; or name to [low, high] in Hz; or such pairs.
    kinds : sequence of {"dasm", "rasm", "dcau"}
        Left less right; left divided by right; front less back. The ratio is of logarithms, which can be near 0: it
        depends on the signal's unit and can be very large; the differences do not and cannot.
    of : {"de", "log_power"}
        Differential entropy (Parseval form, no taper), or the natural logarithm of power under a Hann taper.
    pairs : sequence of pairs of str, optional
        Channels to compare instead; the first is left or front.
    channels : tuple of str
        The names of the channels; a pipeline knows them.

    Returns
    -------
    ndarray of shape (..., n_columns)
        In the floating type of `x`. NaN where a sample of either electrode is missing or either is constant.

    Raises
    ------
    DataError
        No pair among the channels, or a channel of `pairs` that is not there; what :func:`band_power` refuses.
    """
    x = as_signal(x, rate, least=2)
    refuse(_check(bands, kinds, of, pairs))
    check_channels(x, channels)
    measure = (differential_entropy if of == "de" else band_power)(x, rate, bands)
    blocks = []
    for kind in kinds:
        places = np.asarray(_places(kind, channels, pairs))
        first, second = measure[..., places[:, 0], :], measure[..., places[:, 1], :]
        if kind == "rasm":
            values = np.divide(first, second, out=np.full_like(first, np.nan), where=second != 0)
        else:
            values = first - second
        blocks.append(values.reshape(*x.shape[:-2], -1))
    return np.concatenate(blocks, axis=-1)
