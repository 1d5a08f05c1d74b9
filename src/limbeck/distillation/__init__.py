"""Distillation: what a teacher hands over, and the losses by which a student takes it.

*Knowledge* is a teacher's logits and named features per window. :mod:`losses` holds pure functions on tensors,
:mod:`criterion` puts the losses of one stage together, :mod:`controls` spoils knowledge in known ways.
"""

from limbeck.distillation.controls import CREDIT, DIAGNOSTICS, spoil
from limbeck.distillation.criterion import Batch, Criterion, Student
from limbeck.distillation.losses import LOSSES

__all__ = ["CREDIT", "DIAGNOSTICS", "LOSSES", "Batch", "Criterion", "Student", "spoil"]
