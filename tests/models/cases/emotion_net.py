"""EmotionNet, teacher and student."""

from limbeck.models import InputShape

from . import Case, Count

EEG, EDA = InputShape(28, 512, 128.0), InputShape(1, 512, 128.0)
SMALL = {"width": 6, "heads": 2, "head_width": 4, "feed_forward": 5, "depth": 2, "hidden": 7}

CASES = {
    "emotion_net_teacher": Case(
        {"eeg": InputShape(3, 48, 128.0), "eda": InputShape(1, 4, 4.0)},
        {"eeg_1": (3, 6), "eeg_2": (3, 6), "eda_1": (2, 6), "eda_2": (2, 6), "imf": (2, 6), "hidden": (7,)},
        SMALL,
    ),
    "emotion_net_student": Case(
        {"eda": InputShape(1, 4, 4.0)}, {"eda_1": (2, 6), "eda_2": (2, 6), "imf": (2, 6), "hidden": (7,)}, SMALL
    ),
}

COUNTS = [
    Count("emotion_net_teacher", {"eeg": EEG, "eda": EDA}, 2, 2_046_210),
    Count("emotion_net_teacher", {"eeg": EEG, "eda": EDA}, 2, 2_046_210, {"as_released": True}),
    Count("emotion_net_teacher", {"eeg": EEG, "eda": EDA}, 2, 2_046_210, {"pooling": True, "mapping": "gsr_half"}),
    Count("emotion_net_student", {"eda": EDA}, 2, 993_090),
    Count("emotion_net_student", {"eda": EDA}, 2, 993_090, {"as_released": True}),
]
