"""XKD: xkd."""

from limbeck.models import InputShape

from . import Case

SHAPES = {"eda": InputShape(1, 8, 4.0), "acc": InputShape(3, 18, 8.0)}
SMALL = {"width": 8, "depth": 2, "heads": 2, "feed_forward": 12, "frames": 4}

FEATURES = {"eda": (4, 8), "acc": (4, 8), "attention_eda": (2, 4), "attention_acc": (2, 4), "embedding": (16,)}

CASES = {"xkd": Case(SHAPES, FEATURES, SMALL)}
