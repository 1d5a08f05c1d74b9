"""EEGNet."""

from limbeck.models import InputShape

from . import Case, Count

P300 = {"eeg": InputShape(64, 128, 128.0)}
MOTOR = {"eeg": InputShape(22, 256, 128.0)}

CASES = {
    "eegnet": Case(
        {"eeg": InputShape(3, 32, 64.0)},
        {"block1": (4, 16), "block2": (3, 2)},
        {"width": 2, "hidden": 3, "kernel": 8},
    )
}

# Sums over the layers of the released code, on the shapes of two of the data sets of the paper and on ours.
COUNTS = [
    Count("eegnet", P300, 2, 2_258),
    Count("eegnet", P300, 2, 1_066, {"width": 4, "hidden": 8}),
    Count("eegnet", MOTOR, 4, 1_716, {"kernel": 32}),
    Count("eegnet", MOTOR, 4, 796, {"width": 4, "hidden": 8, "kernel": 32}),
    Count("eegnet", {"eeg": InputShape(28, 512, 128.0)}, 2, 2_066),
]
