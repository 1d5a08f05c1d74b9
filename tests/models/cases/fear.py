"""Networks for levels of fear."""

from limbeck.models import InputShape

from . import Case, Count

COLUMNS = {"eeg": InputShape(12), "ecg": InputShape(5)}

# five band powers of each electrode, mean and variance of each other channel
DEAP = {"eeg": InputShape(32 * 5), "body": InputShape(8 * 2)}
DEAP_STUDENT = {"eeg": InputShape(14 * 5), "body": InputShape(8 * 2)}
ASCERTAIN = {"eeg": InputShape(8 * 5), "body": InputShape(3 * 2 + 2 + 2 * 2)}
ASCERTAIN_STUDENT = {"eeg": InputShape(6 * 5), "eda": InputShape(2)}

CASES = {
    "fear_cnn": Case(
        COLUMNS,
        {
            "conv1": (8, 8),
            "conv2": (8, 4),
            "conv3": (8, 2),
            "conv4": (4, 1),
            "flat": (4,),
            "dense1": (6,),
            "dense2": (5,),
            "dense3": (4,),
        },
        {"width": 8, "depth": 3, "hidden": (6, 5, 4)},
    ),
    "fear_student": Case(
        {"eeg": InputShape(7), "eda": InputShape(1)},
        {"conv1": (8, 4), "conv2": (8, 2), "conv3": (4, 1), "flat": (4,), "dense1": (6,), "dense2": (4,)},
        {"width": 8, "hidden": (6, 4)},
    ),
    "fear_lstm": Case(
        {"eeg": InputShape(4), "eda": InputShape(1)},
        {"sequence": (5, 6), "state": (3,), "dense1": (5,), "dense2": (4,)},
        {"width": 6, "hidden": (5, 4)},
    ),
    "fear_gru": Case(
        {"eeg": InputShape(4), "eda": InputShape(1)},
        {"sequence": (5, 6), "state": (3,), "dense1": (5,), "dense2": (4,)},
        {"width": 6, "hidden": (5, 4)},
    ),
}

COUNTS = [
    Count("fear_cnn", DEAP, 10, 197_338),
    Count("fear_cnn", DEAP, 4, 198_260 - 1_024),
    Count("fear_cnn", ASCERTAIN, 7, 181_927 - 1_024),
    Count("fear_cnn", ASCERTAIN, 4, 181_876 - 1_024),
    Count("fear_cnn", DEAP_STUDENT, 10, 186_074 - 1_024),
    Count("fear_student", DEAP_STUDENT, 4, 117_076),
    Count("fear_student", ASCERTAIN_STUDENT, 4, 93_012 - 512),
]
