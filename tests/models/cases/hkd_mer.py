"""Attentive fusion: hkd_mer. No sizes are published."""

from limbeck.models import InputShape

from . import Case

SHAPES = {"eda": InputShape(1, 8, 4.0), "acc": InputShape(3, 16, 8.0)}

CASES = {"hkd_mer": Case(SHAPES, {"eda": (5,), "acc": (5,), "weights": (2,)}, {"width": 4, "hidden": 5})}
