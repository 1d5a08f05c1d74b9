"""The temporal convolutional network: tcn."""

from limbeck.models import InputShape

from . import Case

SHAPES = {"eda": InputShape(1, 24, 4.0), "bvp": InputShape(1, 192, 32.0)}

CASES = {
    "tcn": Case(SHAPES, {"sequence": (16, 6), "embedding": (6,)}, {"width": 6, "frames": 16}, n_steps=4),
}
