"""Distillation: what a teacher hands over, and the losses and steps by which a student takes it.

*Knowledge* is a teacher's logits and named features per window. :mod:`functional` holds the losses as pure functions on
tensors, :mod:`terms` the same as a study names them, with what they learn or remember; :mod:`learner` is a network with
its losses and partners; :mod:`steps` says what is updated when; :mod:`teachers` puts several teachers together;
:mod:`controls` spoils knowledge in known ways.
"""

from limbeck.distillation import terms
from limbeck.distillation.contract import LOSSES, Batch, Context, Loss, Said, Sight, make_losses
from limbeck.distillation.controls import CREDIT, DIAGNOSTICS, spoil
from limbeck.distillation.learner import Learner, Partner, feature_shapes
from limbeck.distillation.steps import STEPS, Feedback, Joint, Phase, make_steps
from limbeck.distillation.teachers import COMBINATIONS, combine, confident, fit_temperature

__all__ = [
    "COMBINATIONS",
    "CREDIT",
    "DIAGNOSTICS",
    "LOSSES",
    "STEPS",
    "Batch",
    "Context",
    "Feedback",
    "Joint",
    "Learner",
    "Loss",
    "Partner",
    "Phase",
    "Said",
    "Sight",
    "combine",
    "confident",
    "feature_shapes",
    "fit_temperature",
    "make_losses",
    "make_steps",
    "spoil",
    "terms",
]
