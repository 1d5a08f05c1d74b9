"""Knowledge losses as pure functions of one batch of one network, and maps between features.

A loss is called as ``name(student, teacher, weights, *, options)`` and returns its parts by name, whose sum it is.
``weights`` (batch,) holds a number of at least 0 per window; a window of weight 0 is in no mean and no pair, and its
knowledge may be NaN. With all weights 0 every term is 0. Gradients reach the teacher's tensor, since a teacher may
learn how to teach; in all other cases hand over one that is detached. Where stopping a gradient is part of a method's
formula, the docstring says so. Nothing branches on values, so ``torch.vmap`` carries every function over many networks.
"""

from limbeck.distillation.functional.alignment import (
    adversarial,
    adversarial_ramp,
    coral,
    mmd,
    reverse_gradient,
    similarity_transport,
    sinkhorn_divergence,
)
from limbeck.distillation.functional.contrast import byol_regression, crd, crd_normaliser, info_nce, nt_xent
from limbeck.distillation.functional.features import attention_transfer, cosine, hint, l1, raw_variance, vid
from limbeck.distillation.functional.labels import (
    ccc_loss,
    hard_target,
    mean_squared_error,
    ordinal_target,
)
from limbeck.distillation.functional.logits import (
    consistency,
    decoupled,
    expected_class_weights,
    gated_mixture,
    mutual,
    ordinal_soft,
    pseudo_label,
    soft_cross_entropy,
    soft_target,
    soft_trace,
)
from limbeck.distillation.functional.maps import MAPS, FeatureMap, MapKind, automatic_map, build_map, possible_maps
from limbeck.distillation.functional.relations import (
    anchored_similarity_rows,
    correlation_congruence,
    pkt,
    rkd_angle,
    rkd_distance,
    similarity,
    similarity_of_many,
)
from limbeck.distillation.functional.weighting import flat, known, weighted_mean

__all__ = [
    "MAPS",
    "FeatureMap",
    "MapKind",
    "adversarial",
    "adversarial_ramp",
    "anchored_similarity_rows",
    "attention_transfer",
    "automatic_map",
    "build_map",
    "byol_regression",
    "ccc_loss",
    "consistency",
    "coral",
    "correlation_congruence",
    "cosine",
    "crd",
    "crd_normaliser",
    "decoupled",
    "expected_class_weights",
    "flat",
    "gated_mixture",
    "hard_target",
    "hint",
    "info_nce",
    "known",
    "l1",
    "mean_squared_error",
    "mmd",
    "mutual",
    "nt_xent",
    "ordinal_soft",
    "ordinal_target",
    "pkt",
    "possible_maps",
    "pseudo_label",
    "raw_variance",
    "reverse_gradient",
    "rkd_angle",
    "rkd_distance",
    "similarity",
    "similarity_of_many",
    "similarity_transport",
    "sinkhorn_divergence",
    "soft_cross_entropy",
    "soft_target",
    "soft_trace",
    "vid",
    "weighted_mean",
]
