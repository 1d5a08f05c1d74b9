"""The losses that a study can name, by what they learn from; importing this package registers them."""

from limbeck.distillation.terms import (
    alignment,
    contrast,
    cotraining,
    features,
    labels,
    logits,
    pretext,
    relations,
    sequences,
)

__all__ = ["alignment", "contrast", "cotraining", "features", "labels", "logits", "pretext", "relations", "sequences"]
