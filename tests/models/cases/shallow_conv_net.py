"""ShallowConvNet."""

from limbeck.models import InputShape

from . import Case, Count

EEG = {"eeg": InputShape(28, 512, 128.0)}

CASES = {
    "shallow_conv_net": Case(
        {"eeg": InputShape(3, 15, 32.0)}, {"power": (4, 2)}, {"width": 4, "kernel": 5, "pool": 8, "stride": 3}
    )
}

COUNTS = [
    Count("shallow_conv_net", EEG, 2, 48_162, {"as_released": True}),
    Count("shallow_conv_net", EEG, 2, 48_162 - 40),
]
