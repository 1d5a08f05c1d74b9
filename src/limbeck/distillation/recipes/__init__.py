"""Ways of teaching from the literature by name: each makes of two networks the stages that a study could have written.

`RECIPES` holds them; importing this package registers them, by what is taught: :mod:`logits`, :mod:`features`,
:mod:`privileged` (sensors that are there in training only), :mod:`cotraining` (networks that learn together),
:mod:`chains` (several trainings) and :mod:`pretraining` (before any label).
"""

from limbeck.distillation.recipes import chains, cotraining, features, logits, pretraining, privileged
from limbeck.distillation.recipes.contract import RECIPES, Fault, Party, Recipe, Site
from limbeck.distillation.recipes.taps import MAP_FEATURES, SUMMARY_FEATURES, TOKEN_FEATURES

__all__ = [
    "MAP_FEATURES",
    "RECIPES",
    "SUMMARY_FEATURES",
    "TOKEN_FEATURES",
    "Fault",
    "Party",
    "Recipe",
    "Site",
    "chains",
    "cotraining",
    "features",
    "logits",
    "pretraining",
    "privileged",
]
