"""TSception."""

from limbeck.models import InputShape

from . import Case, Count

EEG = {"eeg": InputShape(28, 512, 128.0)}

CASES = {
    "tsception": Case(
        {"eeg": InputShape(4, 60, 32.0)},
        {"temporal": (3, 4, 18), "spatial": (4, 3, 9), "fused": (4,), "hidden": (6,)},
        {"width": 3, "spatial": 4, "hidden": 6},
    )
}

COUNTS = [
    Count("tsception", EEG, 2, 12_563),
    Count("tsception", EEG, 2, 97_922, {"width": 64, "spatial": 32}),
]
