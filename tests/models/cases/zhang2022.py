"""From faces to EEG: zhang2022_student, zhang2022_lstm, zhang2022_teacher."""

from limbeck.models import InputShape

from . import Case, Count

BAND_POWER = {"eeg": InputShape(192, 96, 4.0)}
FACES = {"video": InputShape(3 * 40 * 40, 96, 4.0)}

POWER = {"eeg": InputShape(4, 5, 4.0)}
FILM = {"video": InputShape(8 * 8, 5, 4.0)}
SMALL = {"width": 6, "embedding": 5, "backbone_width": 2, "backbone_depth": (1, 1, 2, 1), "chunk": 4}

CASES = {
    "zhang2022_lstm": Case(POWER, {"sequence": (5, 6), "embedding": (6,)}, {"hidden": 3}, n_steps=5),
    "zhang2022_student": Case(POWER, {"sequence": (5, 6), "embedding": (6,)}, {"width": 6}, n_steps=2),
    "zhang2022_teacher": Case(FILM, {"frames": (5, 5), "sequence": (5, 6), "embedding": (6,)}, SMALL, n_steps=7),
}

RELEASED = {"as_released": True}

COUNTS = [
    Count("zhang2022_student", BAND_POWER, 1, 247_047, RELEASED, n_steps=96),
    Count("zhang2022_student", BAND_POWER, 1, 247_047 - 4 * 128, n_steps=96),
    Count("zhang2022_student", {"video": InputShape(512, 96, 4.0)}, 1, 410_887, RELEASED, n_steps=96),
    Count("zhang2022_lstm", BAND_POWER, 1, 231_553, n_steps=96),
    Count("zhang2022_teacher", FACES, 1, 37_283_520 + 410_887, RELEASED, n_steps=96),
]
