"""The shapes on which each registered model is tried, and the parameter counts that its paper or its code gives.

A module of this package holds the cases of the module of `limbeck.models` that has its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.models import InputShape

__all__ = ["CASES", "COUNTS", "Case", "Count"]


@dataclass(frozen=True)
class Case:
    """The smallest view that a model reads, and the features that it then names.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        As small as the model allows, so that trying it costs little.
    features : mapping of str to tuple of int
        Names of the features with their shapes for one window, without the batch.
    options : mapping
        Options that make it small.
    n_steps : int
        Steps for a model that predicts at steps as well; 0 for others.
    """

    modalities: Mapping[str, InputShape]
    features: Mapping[str, tuple[int, ...]]
    options: Mapping[str, Any] = field(default_factory=dict)
    n_steps: int = 0


@dataclass(frozen=True)
class Count:
    """A published number of trainable parameters.

    Parameters
    ----------
    model : str
    modalities : mapping of str to InputShape
        Shapes of the paper.
    n_outputs, parameters : int
        Classes, and trainable parameters.
    options : mapping
        Options under which the design is the published one.
    n_steps : int
        As of `limbeck.models.build`.
    """

    model: str
    modalities: Mapping[str, InputShape]
    n_outputs: int
    parameters: int
    options: Mapping[str, Any] = field(default_factory=dict)
    n_steps: int = 0


CASES: dict[str, Case] = {}
COUNTS: list[Count] = []

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    _cases = importlib.import_module(f"{__name__}.{_module}")
    CASES.update(_cases.CASES)
    COUNTS.extend(getattr(_cases, "COUNTS", ()))
