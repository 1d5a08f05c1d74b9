"""Zhang and Lu's teacher and student."""

from limbeck.models import InputShape

from . import Case, Count
from .emotion_net import EEG, SMALL

EOG = InputShape(2, 512, 128.0)
SECOND_CHANNEL = 64 * 64
"""What the convolution across channels has more than with one channel of skin conductance."""

CASES = {
    "zhang_lu_teacher": Case(
        {"eeg": InputShape(2, 40, 128.0), "eog": InputShape(2, 40, 128.0)},
        {"eeg_1": (2, 6), "eeg_2": (2, 6), "eog_1": (2, 6), "eog_2": (2, 6), "imf": (2, 6), "hidden": (7,)},
        SMALL,
    ),
    "zhang_lu_student": Case(
        {"eog": InputShape(2, 40, 128.0)}, {"eog_1": (2, 6), "eog_2": (2, 6), "imf": (2, 6), "hidden": (7,)}, SMALL
    ),
}

COUNTS = [
    Count("zhang_lu_teacher", {"eeg": EEG, "eog": EOG}, 2, 2_046_210 + SECOND_CHANNEL),
    Count("zhang_lu_student", {"eog": EOG}, 2, 993_090 + SECOND_CHANNEL),
]
