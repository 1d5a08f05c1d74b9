"""Convolutions per modality whose joined features a linear machine reads."""

from limbeck.models import InputShape

from . import Case, Count

BODY = {name: InputShape(1, 512, 128.0) for name in ("ecg", "eda", "resp")}

CASES = {
    "cnn_svm": Case(
        {"ecg": InputShape(2, 40, 32.0), "eda": InputShape(1, 20, 4.0)},
        {"ecg": (32,), "eda": (12,), "joined": (44,)},
        {"width": (3, 4), "kernel": 3, "pool": 2},
    )
}

# No size is published: these are sums over our layers.
COUNTS = [Count("cnn_svm", BODY, 2, 3 * (5 * 16 + 5 * 16 * 32 + 2 * 48) + 2 * (3 * 32 * 30 + 1))]
