"""Random changes of windows, by modality, for training only.

`CHANGES` holds them by name; :class:`Augmentation` is what a study says about a view; :class:`Mask` and
:class:`Transformations` serve networks that learn before any label. All draw on the CPU from a generator that belongs
to one network, and apply to many at once.
"""

from __future__ import annotations

from limbeck.augment import amplitude, features, timing  # noqa: F401  (their changes register themselves)
from limbeck.augment.contract import CHANGES, Change, stacked
from limbeck.augment.defaults import DEFAULTS, STRENGTHS, default_changes
from limbeck.augment.masking import Mask
from limbeck.augment.pipeline import Augmentation
from limbeck.augment.transformations import Transformations

__all__ = [
    "CHANGES",
    "DEFAULTS",
    "STRENGTHS",
    "Augmentation",
    "Change",
    "Mask",
    "Transformations",
    "default_changes",
    "stacked",
]
