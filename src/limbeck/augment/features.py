"""Changes of rows of features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from limbeck.augment.amplitude import kept
from limbeck.augment.contract import CHANGES, Change, Span, white

__all__ = ["FeatureJitter", "FeatureMask"]


@CHANGES.register("feature_jitter")
@dataclass(frozen=True)
class FeatureJitter(Change):
    """Normal noise on every feature.

    Parameters
    ----------
    sigma : float
        Its standard deviation, in standard deviations of the normalised feature.
    """

    suits: ClassVar[Literal["signals", "features"]] = "features"
    spans: ClassVar[Mapping[str, Span]] = {"sigma": Span(0, above=True)}
    sigma: float = 0.1

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"white": white(shape, rng)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return torch.add(x, noise["white"].to(x.dtype), alpha=self.sigma)


@CHANGES.register("feature_mask")
@dataclass(frozen=True)
class FeatureMask(Change):
    """Features hidden: they stand at zero, the mean of normalised features; one always stays.

    Parameters
    ----------
    share : float
        Probability with which each feature is hidden.
    """

    suits: ClassVar[Literal["signals", "features"]] = "features"
    spans: ClassVar[Mapping[str, Span]] = {"share": Span(0, 1, above=True)}
    least_channels: ClassVar[int] = 2
    share: float = 0.1

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"kept": kept((shape[0], shape[1]), self.share, rng)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return x * noise["kept"].to(x.dtype)
