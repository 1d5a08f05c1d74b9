"""The bimodal deep auto-encoder."""

from limbeck.models import InputShape

from . import Case, Count

SEED = {"eeg": InputShape(310), "gaze": InputShape(33)}
ENCODER = (310 + 33) * 64 + 2 * 64 * 64 + 4 * 64 + 128 * 32 + 32
DECODER = (310 + 33) * 65 + 2 * 64 * 64 + 2 * 64 + 32 * 128 + 128

CASES = {
    "bdae": Case(
        {"eeg": InputShape(5), "gaze": InputShape(3)},
        {"eeg": (4,), "gaze": (4,), "shared": (3,), "reconstruction": (8,)},
        {"hidden": (6, 4), "code": 3},
    )
}

# No size is published: these are sums over our layers.
COUNTS = [Count("bdae", SEED, 3, ENCODER + DECODER + 3 * 33)]
