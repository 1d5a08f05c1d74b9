"""The plain convolutional baseline."""

from limbeck.models import InputShape

from . import Case, Count

EDA = {"eda": InputShape(1, 2816, 512.0)}

CASES = {
    "cnn_1d": Case({"eda": InputShape(2, 27, 4.0)}, {"conv2": (8, 1), "fc1": (12,)}, {"width": 4, "hidden": 12}),
}

COUNTS = [
    Count("cnn_1d", EDA, 2, 11_448_066),
    Count("cnn_1d", EDA, 5, 11_449_605, {"as_released": True}),
]
