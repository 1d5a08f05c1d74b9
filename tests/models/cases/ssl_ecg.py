"""SSL-ECG."""

from limbeck.models import InputShape

from . import Case, Count

ECG = {"ecg": InputShape(1, 2560, 256.0)}
SHORT = {"ecg": InputShape(2, 22, 64.0)}
MAPS = {"conv1": (3, 22), "conv2": (6, 8), "conv3": (12, 1), "embedding": (12,)}

CASES = {
    "ssl_ecg": Case(SHORT, {**MAPS, "dense1": (6,), "dense2": (5,)}, {"width": 3, "hidden": (6, 5)}),
}

ENCODER = 329_152

COUNTS = [
    Count("ssl_ecg", ECG, 3, ENCODER + 129 * 512 + 513 * 512 + 513 * 3),
]
