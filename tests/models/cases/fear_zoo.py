"""The networks that work on fear levels compared: one number per channel, four levels."""

from limbeck.models import InputShape

from . import Case, Count

COLUMNS = {"eeg": InputShape(4), "eda": InputShape(1)}
FORTY = {"eeg": InputShape(32), "body": InputShape(8)}
EIGHT = {"body": InputShape(8)}

CASES = {
    "zoo_ann": Case(COLUMNS, {"dense1": (6,), "dense2": (4,)}, {"hidden": (6, 4)}),
    "zoo_dnn": Case(COLUMNS, {"dense1": (6,), "dense2": (6,)}, {"width": 6, "depth": 2}),
    "zoo_lstm": Case(COLUMNS, {"state": (4,), "dense1": (8,), "dense2": (6,)}, {"width": 4, "hidden": (8, 6)}),
    "zoo_cnn_lstm": Case(
        COLUMNS, {"conv1": (2, 5), "state": (8,), "dense1": (5,), "dense2": (4,)}, {"width": 2, "hidden": (5, 4)}
    ),
    "zoo_cnn": Case(COLUMNS, {"conv1": (4, 2), "conv2": (6, 1), "dense1": (5,)}, {"width": (4, 6), "hidden": (5,)}),
}

COUNTS = [
    Count("zoo_ann", FORTY, 4, 4_836),
    Count("zoo_ann", EIGHT, 4, 420, {"hidden": 32}),
    Count("zoo_dnn", FORTY, 4, 52_054),
    Count("zoo_dnn", EIGHT, 4, 24_604, {"depth": 2}),
    Count("zoo_dnn", FORTY, 4, 374_704, {"width": 300, "depth": 5}),
    Count("zoo_dnn", FORTY, 4, 284_404, {"width": 300, "depth": 4}),
    Count("zoo_dnn", FORTY, 4, 194_104, {"width": 300, "depth": 3}),
    Count("zoo_dnn", EIGHT, 4, 274_804, {"width": 300, "depth": 4}),
    Count("zoo_dnn", EIGHT, 4, 184_504, {"width": 300, "depth": 3}),
    Count("zoo_lstm", FORTY, 4, 19_572),
    Count("zoo_lstm", EIGHT, 4, 4_948, {"width": 32, "hidden": (16,)}),
    Count("zoo_lstm", EIGHT, 4, 35_684, {"hidden": (128, 64, 32)}),
    Count("zoo_cnn_lstm", FORTY, 4, 148_996),
    Count("zoo_cnn", EIGHT, 4, 29_636),
    Count("zoo_cnn", EIGHT, 4, 50_052, {"width": (64,), "pools": 0, "padding": "valid"}),
    # sizes that other designs have as well
    Count("zoo_cnn", FORTY, 4, 291_780, {"width": (32, 256, 128), "kernel": 5, "hidden": (64, 64)}),
    Count("zoo_cnn", FORTY, 4, 271_364, {"width": (64, 256, 64), "pools": 1, "hidden": (128, 64)}),
]
