"""Windows under known transformations, for networks that learn by telling which one it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from limbeck.augment.amplitude import noise_amplitude
from limbeck.augment.contract import Span, check_options, white, widened
from limbeck.augment.timing import reordered, resample
from limbeck.errors import DataError

__all__ = ["Transformations"]


@dataclass(frozen=True)
class Transformations:
    """One of seven transformations of each window, each as likely as the others; all signals undergo the same.

    Parameters
    ----------
    snr : float
        Of ``noise``: power of each channel about its mean to that of white noise, in dB.
    factor : float
        Of ``scale``.
    pieces : int
        Equal pieces that ``permute`` brings into another order.
    warp_pieces : int
        Equal pieces of ``time_warp``; half of them (rounded up) are stretched, the others squeezed.
    stretch : float
        By how much; the squeezed ones become shorter by the same factor. Of the result, which is the longer, as much as
        the window had is cut out anywhere.

    Raises
    ------
    StudyError
        With every option out of bounds.

    Notes
    -----
    Values and kinds as published: Sarkar and Etemad, Self-supervised ECG representation learning for emotion
    recognition, IEEE Transactions on Affective Computing 13(3), 2022. There every window goes through all seven in one
    batch; here one is drawn per window.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("original", "noise", "scale", "negate", "flip", "permute", "time_warp")

    snr: float = 15.0
    factor: float = 1.1
    pieces: int = 20
    warp_pieces: int = 9
    stretch: float = 1.05

    def __post_init__(self) -> None:
        spans = {
            "factor": Span(0, above=True),
            "pieces": Span(2, 10_000),
            "warp_pieces": Span(2),
            "stretch": Span(1, above=True),
        }
        check_options(self, spans)

    def noise(self, shapes: Mapping[str, tuple[int, ...]], rng: np.random.Generator) -> dict[str, Any]:
        """Draw the transformation of each window of one network's batch, and all that is random in it.

        Parameters
        ----------
        shapes : mapping of str to (int, int, int)
            Of the batch by modality: (batch, channels, time).
        rng : numpy.random.Generator
            The network's own, for this step.

        Returns
        -------
        dict
            ``kind`` (batch,), int64, a place in `KINDS`; ``signals``, by modality ``factor`` (batch,), ``position``
            (batch, time) and ``white`` (batch, channels, time), float32.

        Raises
        ------
        DataError
            A modality is a row of features or has a single sample: it has no time to be transformed.
        """
        unfit = [name for name, shape in shapes.items() if len(shape) != 3 or shape[-1] < 2]
        if unfit or not shapes:
            raise DataError(
                "Transformations are told apart on signals of two samples or more; not so "
                f"{', '.join(unfit) or 'an empty view'}. Choose a view of signals."
            )
        (batch,) = {shape[0] for shape in shapes.values()}
        kind = rng.integers(len(self.KINDS), size=batch)
        signals = {name: self._drawn(kind, shape, rng) for name, shape in shapes.items()}
        return {"kind": kind, "signals": signals}

    def _drawn(self, kind: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, np.ndarray]:
        noise, scale, negate, flip, permute, warp = (kind == place for place in range(1, len(self.KINDS)))
        samples = shape[-1]
        position = np.tile(np.arange(samples, dtype=np.float32), (len(kind), 1))
        position[flip] = position[flip, ::-1]
        if permute.any():
            position[permute] = reordered(int(permute.sum()), samples, min(self.pieces, samples), rng)
        position[warp] = self._warped(int(warp.sum()), samples, rng)
        added = np.zeros(shape, dtype=np.float32)
        added[noise] = white((int(noise.sum()), *shape[1:]), rng)
        factor = np.where(scale, self.factor, np.where(negate, -1.0, 1.0)).astype(np.float32)
        return {"factor": factor, "position": position, "white": added}

    def _warped(self, count: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Draw which sample, or where between two, stands at each place of a warped window: (count, samples)."""
        n, length = self.warp_pieces, samples - 1
        stretched = rng.random((count, n)).argsort(axis=1) < math.ceil(n / 2)
        speed = np.where(stretched, 1 / self.stretch, self.stretch)
        ends = np.cumsum(length / n / speed, axis=1)
        time = np.arange(samples) + rng.random((count, 1)) * (ends[:, -1:] - length)
        piece = (time[:, :, None] >= ends[:, None, :-1]).sum(axis=2)
        begun = np.take_along_axis(np.pad(ends, ((0, 0), (1, 0))), piece, axis=1)
        position = piece * (length / n) + (time - begun) * np.take_along_axis(speed, piece, axis=1)
        within: np.ndarray = position.clip(0, length)  # of rounding
        return within

    def apply(self, inputs: Mapping[str, Tensor], noise: Mapping[str, Any]) -> tuple[dict[str, Tensor], Tensor]:
        """Return transformed windows and which transformation it was.

        Parameters
        ----------
        inputs : mapping of str to Tensor of shape (..., batch, channels, time)
            Normalised windows by modality; one that is NaN throughout stays so.
        noise : mapping
            As :meth:`noise` draws it, with the same leading axes.

        Returns
        -------
        inputs : dict of str to Tensor
            Of the same shapes and dtypes.
        kind : Tensor of shape (..., batch), int64
            A place in `KINDS`.
        """
        changed = {name: self._transformed(x, noise["signals"][name]) for name, x in inputs.items()}
        kind: Tensor = noise["kind"]
        return changed, kind

    def _transformed(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        moved = resample(x, noise["position"]) * widened(noise["factor"], x).to(x.dtype)
        return torch.addcmul(moved, noise["white"].to(x.dtype), noise_amplitude(x, self.snr))
