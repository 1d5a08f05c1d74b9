"""Convolutions and a recurrent layer on skin conductance."""

from limbeck.models import InputShape

from . import Case, Count

EDA = {"eda": InputShape(1, 512, 128.0)}
CONVOLUTIONS = 7 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
RECURRENT = 3 * 64 * (64 + 64 + 2)

CASES = {
    "cnn_rnn": Case(
        {"eda": InputShape(1, 20, 4.0)},
        {"conv": (4, 5), "sequence": (5, 6), "hidden": (6,)},
        {"width": (3, 4), "hidden": 6},
    )
}

# No size is published: these are sums over our layers.
COUNTS = [
    Count("cnn_rnn", EDA, 2, CONVOLUTIONS + RECURRENT + 2 * 65),
    Count("cnn_rnn", EDA, 2, CONVOLUTIONS + 2 * RECURRENT + 2 * 65, {"bidirectional": True}),
]
