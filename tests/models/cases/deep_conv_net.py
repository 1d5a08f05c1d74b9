"""DeepConvNet."""

from limbeck.models import InputShape

from . import Case, Count

EEG = {"eeg": InputShape(28, 512, 128.0)}
EDA = {"eda": InputShape(1, 512, 128.0)}
RELEASED = {"kernel": 5, "as_released": True}

CASES = {
    "deep_conv_net": Case(
        {"eeg": InputShape(3, 25, 32.0)},
        {"block1": (2, 11), "block2": (4, 4), "block3": (8, 1)},
        {"width": 2, "kernel": 3, "pool": 2, "depth": 3},
    )
}

COUNTS = [
    Count("deep_conv_net", EEG, 2, 151_252, RELEASED),
    Count("deep_conv_net", EDA, 2, 134_377, RELEASED),
    Count("deep_conv_net", EEG, 2, 151_252 - 25, {"kernel": 5}),
    # braindecode's kernels, from the layer table: time, space, three later blocks, normalisation, head
    Count("deep_conv_net", EEG, 2, 250 + 17_500 + 12_500 + 50_000 + 200_000 + 2 * 375 + 402),
]
