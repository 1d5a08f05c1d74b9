"""The generator of multimodal features with its classifier."""

from limbeck.models import InputShape

from . import Case, Count

CASES = {
    "cgan": Case(
        {"gaze": InputShape(5)},
        {"condition": (5,), "generated": (3,)},
        {"hidden": (6, 4), "code": 3, "dropout": 0.2},
    )
}

# No size is published: these are sums over our layers.
COUNTS = [Count("cgan", {"gaze": InputShape(33)}, 3, 34 * 64 + 65 * 64 + 65 * 32 + 33 * 3)]
