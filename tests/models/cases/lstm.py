"""The recurrent baselines."""

from limbeck.models import InputShape

from . import Case, Count

EDA = {"eda": InputShape(1, 2816, 512.0)}

CASES = {
    "lstm": Case({"eda": InputShape(2, 8, 128.0)}, {"sequence": (2, 6), "hidden": (6,)}, {"hidden": 6}),
    "cnn_lstm": Case(
        {"eda": InputShape(2, 39, 64.0)}, {"conv2": (8, 2), "hidden": (6,)}, {"width": 4, "hidden": 6, "pool": 1}
    ),
}

COUNTS = [Count("lstm", EDA, 2, 50_562), Count("cnn_lstm", EDA, 2, 48_162)]
