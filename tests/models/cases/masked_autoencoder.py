"""The masked autoencoder: masked_autoencoder."""

from limbeck.models import InputShape

from . import Case

SHAPES = {"eda": InputShape(1, 8, 4.0), "acc": InputShape(3, 18, 8.0)}
SMALL = {"width": 8, "depth": 2, "heads": 2, "feed_forward": 12, "frames": 4}

CASES = {"masked_autoencoder": Case(SHAPES, {"tokens": (8, 8), "embedding": (8,)}, SMALL)}
