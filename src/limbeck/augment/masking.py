"""Hidden parts of windows, for networks that learn by filling them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck.augment.contract import Span, check_options
from limbeck.errors import DataError

__all__ = ["Mask"]


@dataclass(frozen=True)
class Mask:
    """Blocks of each window hidden, for reconstruction by networks that read whole windows.

    A network made of patches leaves hidden ones out itself (``masked_autoencoder``); a convolutional one sees zeros,
    the mean of normalised signals, in their place. All channels of a modality are hidden at the same time, each
    modality at its own times; of a row of features, runs of neighbouring columns are hidden.

    Parameters
    ----------
    share : float
        Of the blocks that are hidden; at least one is, and at least one is not.
    blocks : int
        Into which each window is divided; fewer where it has fewer samples.

    Raises
    ------
    StudyError
        With every option out of bounds.

    Notes
    -----
    He, Chen, Xie, Li, Dollár and Girshick, Masked autoencoders are scalable vision learners, CVPR 2022; half to three
    quarters of 16 to 32 blocks suit physiological signals.
    """

    share: float = 0.6
    blocks: int = 24

    def __post_init__(self) -> None:
        check_options(self, {"share": Span(0, 1, above=True), "blocks": Span(2)})

    def noise(
        self, shapes: Mapping[str, tuple[int, ...]], rng: np.random.Generator
    ) -> dict[str, dict[str, np.ndarray]]:
        """Draw which blocks of one network's batch are hidden.

        Parameters
        ----------
        shapes : mapping of str to tuple of int
            Of the batch by modality: (batch, channels, time) or (batch, features).
        rng : numpy.random.Generator
            The network's own, for this step.

        Returns
        -------
        dict of str to dict of str to ndarray
            By modality ``hidden``: (batch, blocks), float32, 1 for hidden blocks.

        Raises
        ------
        DataError
            A modality has a single sample or feature, of which nothing can be hidden.
        """
        short = [name for name, shape in shapes.items() if shape[-1] < 2]
        if short:
            raise DataError(
                f"Windows of {', '.join(short)} have one value each, of which no part can be hidden; leave them out of "
                "the view."
            )
        return {name: {"hidden": self._hidden(shape[0], shape[-1], rng)} for name, shape in shapes.items()}

    def _hidden(self, batch: int, length: int, rng: np.random.Generator) -> np.ndarray:
        blocks = min(self.blocks, length)
        count = min(max(1, round(self.share * blocks)), blocks - 1)
        rank = rng.random((batch, blocks)).argsort(axis=1).argsort(axis=1)
        return (rank < count).astype(np.float32)

    def apply(
        self, inputs: Mapping[str, Tensor], noise: Mapping[str, Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return windows with hidden blocks at zero, and what was hidden.

        Parameters
        ----------
        inputs : mapping of str to Tensor of shape (..., batch, channels, time) or (..., batch, features)
            Normalised windows by modality.
        noise : mapping
            As :meth:`noise` draws it, with the same leading axes.

        Returns
        -------
        inputs : dict of str to Tensor
            Of the same shapes; a window that is NaN throughout, an absent sensor, stays so.
        masks : dict of str to Tensor of shape (..., batch, time) or (..., batch, features)
            1 where something was hidden; 0 elsewhere, and throughout windows that are NaN.
        """
        shown, masks = {}, {}
        for name, x in inputs.items():
            hidden = _spread(noise[name]["hidden"], x.shape[-1]).to(x.dtype)
            is_row = x.ndim == hidden.ndim
            first = x if is_row else x[..., 0, :]
            masks[name] = torch.where(first.isnan(), 0.0, hidden)
            shown[name] = x * (1 - (hidden if is_row else hidden.unsqueeze(-2)))  # a product keeps NaN
        return shown, masks


def _spread(hidden: Tensor, length: int) -> Tensor:
    """Return (..., length) from a number per block."""
    block = torch.arange(length, device=hidden.device) * hidden.shape[-1] // length
    return hidden.index_select(-1, block)
