"""The multi-task network."""

from limbeck.models import InputShape

from . import Case, Count

COLUMNS = {"eda": InputShape(6), "ecg": InputShape(3)}

CASES = {"mt_nn": Case(COLUMNS, {"trunk": (25,)}, {"n_heads": 3})}

COUNTS = [
    Count("mt_nn", COLUMNS, 2, 10 * 25 + 26 * 2),
    Count("mt_nn", COLUMNS, 2, 10 * 25 + 87 * 26 * 2, {"n_heads": 87}),
]
