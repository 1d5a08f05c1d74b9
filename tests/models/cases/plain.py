"""The plain models: linear, mlp, student_cnn, fusion_cnn."""

from limbeck.models import InputShape

from . import Case

WRISTBAND = {
    "eda": InputShape(1, 60, 4.0),
    "bvp": InputShape(1, 400, 64.0),
    "acc": InputShape(3, 200, 16.0),
}
COLUMNS = {"eeg": InputShape(10), "ecg": InputShape(3)}

CASES = {
    "fusion_cnn": Case(WRISTBAND, {"fused": (32,), "eda": (48,), "bvp": (48,), "acc": (48,)}),
    "linear": Case(COLUMNS, {}),
    "mlp": Case(COLUMNS, {"hidden": (16,)}),
    "student_cnn": Case({"eda": InputShape(1, 60, 4.0)}, {"embedding": (32,)}),
}
