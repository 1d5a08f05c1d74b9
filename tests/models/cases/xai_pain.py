"""The perceptron and the convolutional network of the comparison on skin conductance."""

from limbeck.models import InputShape

from . import Case, Count

AT_256_HZ = {"eda": InputShape(1, 1408, 256.0)}
AT_512_HZ = {"eda": InputShape(1, 2816, 512.0)}

CASES = {
    "xai_mlp": Case(
        {"eda": InputShape(1, 1, 4.0), "bvp": InputShape(2, 16, 64.0)},
        {"hidden": (6,)},
        {"width": 12, "hidden": 6},
    ),
    "xai_cnn": Case(
        {"eda": InputShape(2, 51, 64.0)}, {"conv3": (4, 1), "hidden": (12,)}, {"width": 16, "hidden": 12, "pool": 1}
    ),
}

COUNTS = [
    Count("xai_mlp", AT_256_HZ, 2, 377_552),
    Count("xai_mlp", AT_512_HZ, 2, 729_552),
    Count("xai_cnn", AT_256_HZ, 2, 119_170),
    Count("xai_cnn", AT_512_HZ, 2, 128_770),
]
