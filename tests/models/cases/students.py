"""The tiny students: student_nano, student_tiny, student_small, student_base."""

from limbeck.models import InputShape

from . import Case, Count

EDA = {"eda": InputShape(1, 240, 4.0)}
BVP = {"bvp": InputShape(1, 3840, 64.0)}
EEG = {"eeg": InputShape(2, 1250, 250.0)}
SHORT = {"eda": InputShape(1, 24, 4.0)}

SIZES = {
    "student_nano": (802, 1282, 1282),
    "student_tiny": (3826, 4786, 4786),
    "student_small": (13794, 15714, 15714),
    "student_base": (69250, 73090, 73090),
}

CASES = {
    "student_nano": Case(SHORT, {"map": (8, 12), "embedding": (32,)}, n_steps=6),
    "student_tiny": Case(SHORT, {"map": (16, 6), "embedding": (64,)}, n_steps=6),
    "student_small": Case(SHORT, {"map": (12, 6), "embedding": (48,)}, {"width": 12}, n_steps=6),
    "student_base": Case(SHORT, {"map": (12, 6), "embedding": (48,)}, {"width": 12}, n_steps=6),
}

COUNTS = [
    Count(name, shapes, 2, parameters)
    for name, counts in SIZES.items()
    for shapes, parameters in zip((EDA, BVP, EEG), counts, strict=True)
]
