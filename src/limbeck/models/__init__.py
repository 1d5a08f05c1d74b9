"""Models: networks under one contract, found by name.

A *model* is an ``nn.Module`` that takes a dict of modality tensors and returns :class:`Outputs`. It is built from the
shapes of the windows, so one definition serves every data set::

    network = build("fusion_cnn", {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0)}, n_outputs=2)
    outputs = network({"eda": eda, "bvp": bvp})   # outputs.prediction: (batch, n_outputs)
"""

import importlib
import pkgutil

from limbeck.models.contract import (
    MODELS,
    InputShape,
    Layer,
    Network,
    Outputs,
    build,
    count_multiply_adds,
    count_parameters,
    dry_run,
    layer_table,
)
from limbeck.models.layers import Dropout

__all__ = [
    "MODELS",
    "Dropout",
    "InputShape",
    "Layer",
    "Network",
    "Outputs",
    "build",
    "count_multiply_adds",
    "count_parameters",
    "dry_run",
    "layer_table",
]

for _module in pkgutil.iter_modules(__path__):  # a model registers itself when its module is imported
    importlib.import_module(f"{__name__}.{_module.name}")
