"""The teacher of any set of modalities: fusion_teacher."""

from limbeck.models import InputShape

from . import Case

SHAPES = {"eda": InputShape(1, 24, 4.0), "bvp": InputShape(1, 192, 32.0), "acc": InputShape(3, 48, 8.0)}

CASES = {
    "fusion_teacher": Case(
        SHAPES,
        {"fused": (8,), "weights": (3,), "eda": (8,), "bvp": (8,), "acc": (8,)},
        {"width": 6, "hidden": 8, "depth": 2, "frames": 16},
        n_steps=4,
    ),
}
