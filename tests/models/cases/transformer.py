"""The small transformer: small_transformer."""

from limbeck.models import InputShape

from . import Case

SHAPES = {"eda": InputShape(1, 24, 4.0), "acc": InputShape(3, 48, 8.0)}

CASES = {
    "small_transformer": Case(
        SHAPES,
        {"tokens": (12, 8), "embedding": (8,)},
        {"width": 8, "heads": 2, "feed_forward": 12, "frames": 12},
        n_steps=4,
    ),
}
